import { describe, expect, test } from "vitest";
import { FAMILIES } from "../../test/conformance/tiny-families.ts";
import { RandomStream } from "../tensor/random.ts";
import { tensor } from "../tensor/tensor.ts";
import { type GgufLayout, translateName, translateRows, translateWeight } from "./gguf.ts";
import { ARCHITECTURES, createModel } from "./registry.ts";

const rows = ARCHITECTURES.flatMap(({ name, gguf }) => (gguf === undefined ? [] : [{ name, gguf }]));
const llama = rows.find(({ name }) => name === "llama")?.gguf as GgufLayout;

test("names", () => {
  const name = (from: string) => translateName(llama, "toHuggingFace", from);
  expect(name("blk.12.attn_k.bias")).toBe("model.layers.12.self_attn.k_proj.bias");
  expect(name("blk.0.ffn_norm.weight")).toBe("model.layers.0.post_attention_layernorm.weight");
  expect(name("output.weight")).toBe("lm_head.weight");
  for (const unknown of ["attn_q.weight", "blk.0.constructor.weight", "blk.*.attn_q.weight", "blk.0.1.attn_q.weight"]) {
    expect(name(unknown)).toBeUndefined();
  }
});

describe.each(rows)("a file of $name", ({ name, gguf }) => {
  const { weights } = createModel(FAMILIES.find((family) => family.name === name)?.config);

  test("names go there and back, each weight has one of its own", () => {
    const there = [...weights.keys()].map((weight) => translateName(gguf, "toGguf", weight));
    expect(new Set(there).size).toBe(weights.size);
    expect(there.map((weight) => translateName(gguf, "toHuggingFace", weight ?? ""))).toEqual([...weights.keys()]);
  });
});

describe("the order of rows", () => {
  test("two heads of four rows, in weights and biases", () => {
    // Row numbers as Hugging Face has them, in the order in which llama.cpp's converter writes them.
    const written = [0, 2, 1, 3, 4, 6, 5, 7];
    const ordered = [0, 1, 2, 3, 4, 5, 6, 7];
    expect([...translateRows("toHuggingFace", tensor("float32", [8], written), 2).data]).toEqual(ordered);
    const twice = (rows: number[]) => rows.flatMap((row) => [row, row + 0.5]);
    expect(translateRows("toHuggingFace", tensor("float32", [8, 2], twice(written)), 2).data).toEqual(
      Float32Array.from(twice(ordered)),
    );
    expect(() => translateRows("toHuggingFace", tensor("float32", [6], written.slice(2)), 4)).toThrow(
      expect.objectContaining({ code: "GGUF_SHAPE_INVALID" }),
    );
  });

  test("goes there and back, for any heads", () => {
    const random = new RandomStream(0, "gguf/rows");
    for (let i = 0; i < 50; i++) {
      const draw = (most: number, place: number) => 1 + Math.floor(most * random.uniform(3 * i + place));
      const [heads, half, columns] = [draw(6, 0), draw(9, 1), draw(5, 2)];
      const shape = [heads * 2 * half, columns];
      const whole = tensor(
        "float32",
        shape,
        Float32Array.from({ length: heads * 2 * half * columns }, (_, at) => at),
      );
      const there = translateRows("toGguf", whole, heads);
      expect(translateRows("toHuggingFace", there, heads)).toEqual(whole);
      // Row h d + c d/2 + i here is row h d + 2 i + c there.
      const [head, c, at] = [heads - 1, i % 2, half - 1];
      const row = (tensor: typeof whole, place: number) => [
        ...tensor.data.slice(place * columns, (place + 1) * columns),
      ];
      expect(row(there, head * 2 * half + 2 * at + c)).toEqual(row(whole, head * 2 * half + c * half + at));
    }
  });
});

describe("a weight", () => {
  const layout: GgufLayout = { ...llama, interleaved: {}, together: { query_key_value: "heads" }, normOffset: 1 };
  const translated = (way: "toHuggingFace" | "toGguf", name: string, values: number[]) => [
    ...translateWeight(layout, way, { heads: 2 }, name, tensor("float32", [values.length], values)).data,
  ];

  test("of queries, keys and values in one module: by head here, one after the other there", () => {
    // Two heads of two rows each: q, k, v of the first head, then of the second.
    const byHead = [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15];
    const byPart = [0, 1, 10, 11, 2, 3, 12, 13, 4, 5, 14, 15];
    const name = "gpt_neox.layers.0.attention.query_key_value.bias";
    expect(translated("toGguf", name, byHead)).toEqual(byPart);
    expect(translated("toHuggingFace", name, byPart)).toEqual(byHead);
  });

  test("of a norm that is kept as its distance from 1", () => {
    expect(translated("toGguf", "model.norm.weight", [0.5, -1])).toEqual([1.5, 0]);
    expect(translated("toHuggingFace", "model.layers.3.self_attn.q_norm.weight", [1.5, 0])).toEqual([0.5, -1]);
    expect(translated("toHuggingFace", "model.layers.3.self_attn.q_proj.weight", [1.5, 0])).toEqual([1.5, 0]);
  });
});
