import { expect, test } from "vitest";
import { adapterOf } from "../formats/peft.ts";
import { parseAdapterConfig } from "../formats/peft-config.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { adaptedConfig, mergeInto, mergeLora } from "./merge.ts";
import { createModel } from "./registry.ts";

const w = tensor("float32", [2, 3], [1, 2, 3, 4, 5, 6]);
const other = tensor("float32", [1], [7]);
const a = tensor("float32", [1, 3], [1, 0, -1]);
const b = tensor("float32", [2, 1], [2, 4]);
const weights = new Map([
  ["m.weight", w],
  ["n.weight", other],
]);

test("W + scale B A; other weights are shared, the given ones stay as they are", () => {
  const merged = mergeLora(
    weights,
    new Map([
      ["m.lora_A.weight", a],
      ["m.lora_B.weight", b],
    ]),
    0.5,
  );
  expect(merged.get("m.weight")).toEqual(tensor("float32", [2, 3], [2, 2, 2, 6, 5, 4]));
  expect(merged.get("n.weight")).toBe(other);
  expect([...w.data]).toEqual([1, 2, 3, 4, 5, 6]);
});

test("a missing half or a misfit is named", () => {
  expect(() => mergeLora(weights, new Map([["m.lora_A.weight", a]]), 1)).toThrow(/m\.lora_B\.weight/);
  const flipped = new Map([
    ["m.lora_A.weight", b],
    ["m.lora_B.weight", a],
  ]);
  expect(() => mergeLora(weights, flipped, 1)).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
});

test("DoRA: rows of W + scale B A, each divided by its norm and multiplied by m", () => {
  const merged = mergeLora(
    weights,
    new Map([
      ["m.lora_A.weight", a],
      ["m.lora_B.weight", b],
      ["m.lora_magnitude_vector", tensor("float32", [2], [3, 0.5])],
    ]),
    0.5,
  );
  const [x, y] = [3 / Math.sqrt(12), 0.5 / Math.sqrt(77)];
  expect(merged.get("m.weight")).toEqual(tensor("float32", [2, 3], [2 * x, 2 * x, 2 * x, 6 * y, 5 * y, 4 * y]));
});

test("an embedding gets the transpose; whole weights and biases come first; a bias may be new", () => {
  const merged = mergeLora(
    new Map([["e.weight", zeros("float32", [3, 2])]]),
    new Map([
      ["e.weight", tensor("float32", [3, 2], [1, 1, 1, 1, 1, 1])],
      ["e.lora_embedding_A", a],
      ["e.lora_embedding_B", b],
      ["m.bias", tensor("float32", [2], [5, 6])],
      ["m.lora_B.bias", tensor("float32", [2], [1, 2])],
      ["n.lora_B.bias", tensor("float32", [2], [1, 2])],
    ]),
    0.5,
  );
  expect(merged.get("e.weight")).toEqual(tensor("float32", [3, 2], [2, 3, 1, 1, 0, -1]));
  expect([...merged.get("m.bias")!.data]).toEqual([5.5, 7]);
  expect([...merged.get("n.bias")!.data]).toEqual([0.5, 1]);
});

const config = {
  model_type: "llama",
  hidden_size: 4,
  intermediate_size: 4,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  vocab_size: 3,
  tie_word_embeddings: true,
};

test("an embedding and a head that share a weight are two where only one is changed", () => {
  const tied = createModel(config);
  const [embedding, head] = [tied.embedding, "lm_head.weight"];
  const shared = tensor(
    "float32",
    [3, 4],
    Array.from({ length: 12 }, (_, i) => i),
  );
  const own = tensor("float32", [3, 4], new Float32Array(12).fill(7));
  const merge = (name: string, to = tied) => mergeInto(to, () => shared, new Map([[name, own]]), 1);
  for (const [changed, kept] of [
    [embedding, head],
    [head, embedding],
  ] as const) {
    const { model, changed: found } = merge(changed);
    expect(model.head).toBe(head);
    expect(model.weights.get(head)).toEqual([3, 4]);
    expect(found).toEqual(
      new Map([
        [changed, own],
        [kept, shared],
      ] as const),
    );
    expect(adaptedConfig(config, tied, model)).toEqual({ ...config, tie_word_embeddings: false });
  }
  const norm = merge("model.norm.weight");
  expect(norm.model.head).toBe(embedding);
  expect(adaptedConfig(config, tied, norm.model)).toBe(config);
});

const NEOX = { ...config, model_type: "gpt_neox", rotary_pct: 1 };
const whole = (name: string) => `base_model.model.${name}.weight`;
const part = (name: string, shape: readonly number[]) => [whole(name), zeros("float32", shape)] as const;

// Names of PEFT 0.14 on transformers 4.47, and of PEFT 0.21 on transformers 5.24; logits of both agreed.
test.each(["embed_out", "lm_head"])("GPT-NeoX's head is embed_out in files, and %s in adapters", (head) => {
  for (const tied of [true, false]) {
    const model = createModel({ ...NEOX, tie_word_embeddings: tied });
    const read = (tensors: ReadonlyMap<string, HostTensor>, changes: object) =>
      adapterOf(
        parseAdapterConfig({ peft_type: "LORA", r: 2, lora_alpha: 2, target_modules: ["dense", head], ...changes }, ""),
        {
          entries: new Map([...tensors].map(([name, { shape }]) => [name, { shape, format: "F32", begin: 0, end: 0 }])),
          load: (name) => tensors.get(name) as HostTensor,
          where: "",
        },
        model,
      );
    const dense = "gpt_neox.layers.0.attention.dense";
    const factors = [part(`${dense}.lora_A`, [2, 4]), part(`${dense}.lora_B`, [4, 2])];
    const onHead = read(new Map([...factors, part(`${head}.lora_A`, [2, 4]), part(`${head}.lora_B`, [3, 2])]), {});
    expect(onHead.config.targetModules).toEqual(["dense", "embed_out"]);
    expect([...onHead.tensors.keys()].filter((name) => !name.startsWith(dense))).toEqual([
      "embed_out.lora_A.weight",
      "embed_out.lora_B.weight",
    ]);
    const saved = read(new Map([...factors, part(head, [3, 4])]), {
      target_modules: ["dense"],
      modules_to_save: [head],
    });
    const merged = mergeInto(model, (name) => zeros("float32", model.weights.get(name) ?? []), saved.tensors, 1);
    expect(merged.model.head).toBe("embed_out.weight");
    expect(adaptedConfig({ ...NEOX, tie_word_embeddings: tied }, model, merged.model)).toEqual({
      ...NEOX,
      tie_word_embeddings: false,
    });
  }
});

test("a bias that the family has not is computed with, and not written", () => {
  const plain = createModel(config);
  const name = "model.layers.0.self_attn.q_proj.lora_B.bias";
  const merge = (bias: string) =>
    mergeInto(plain, () => other as HostTensor<"float32">, new Map([[bias, zeros("float32", [4])]]), 1);
  const { model } = merge(name);
  expect(model.weights.get("model.layers.0.self_attn.q_proj.bias")).toEqual([4]);
  expect(() => adaptedConfig(config, plain, model)).toThrow(/adds biases/);
  expect(() => merge("lm_head.lora_B.bias")).toThrow(expect.objectContaining({ code: "ADAPTER_UNSUPPORTED" }));
});
