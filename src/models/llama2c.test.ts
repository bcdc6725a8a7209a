import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FixtureModel } from "../../scripts/fixtures/model.ts";
import { sharedPath } from "../../test/shared.ts";
import { readLlama2cTokenizer } from "../formats/llama2c-tokenizer.ts";
import { checkWeights } from "./load.ts";
import { createModel } from "./registry.ts";
import { openSource } from "./source.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "booster-llama2c-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const code = (name: string) => expect.objectContaining({ code: name });
/** hidden 8, inner 12, 2 layers, 2 heads, 1 key-value head, 5 tokens, 16 places. */
const SIZES = [8, 12, 2, 2, 1, 5, 16];
const attention = 8 * 8 + 4 * 8 + 4 * 8 + 8 * 8;
const shared = 5 * 8 + 2 * (8 + 8) + 2 * attention + 2 * 3 * 12 * 8 + 8;

/** A checkpoint whose numbers count up from 0. */
function write(name: string, header: Buffer, count: number): string {
  const path = join(root, name);
  writeFileSync(path, Buffer.concat([header, Buffer.from(Float32Array.from({ length: count }, (_, i) => i).buffer)]));
  return path;
}
const ints = (values: readonly number[]) => Buffer.from(Int32Array.from(values).buffer);
const newHeader = (version: number, tied: number) => {
  const header = Buffer.alloc(256);
  header.writeUInt32LE(0x616b3432);
  header.writeInt32LE(version, 4);
  ints(SIZES).copy(header, 8);
  header.writeUInt8(tied, 36);
  return header;
};

function open(path: string) {
  const { base } = openSource(path);
  const [config, weights] = [base.config(), base.weights()];
  const model = createModel(config);
  checkWeights(model, weights, path);
  return { config, model, weights, first: (name: string) => weights.load(name).data[0] };
}

describe("checkpoints", () => {
  test("the oldest version, tied: kinds of weights one behind the other, tables passed over", () => {
    const { config, model, weights, first } = open(write("old.bin", ints(SIZES), shared + 2 * 16 * 2));
    expect(config).toMatchObject({ vocab_size: 5, num_key_value_heads: 1, tie_word_embeddings: true });
    expect(model.weights.size).toBe(1 + 2 * 9 + 1);
    expect(first("model.embed_tokens.weight")).toBe(0);
    expect(first("model.layers.1.input_layernorm.weight")).toBe(40 + 8);
    expect(first("model.layers.1.self_attn.q_proj.weight")).toBe(40 + 16 + 64);
    expect(first("model.norm.weight")).toBe(shared - 8);
    // The rows of a head of four, as they stand in the file: 0, 2, 1, 3.
    const rows = weights.load("model.layers.0.self_attn.q_proj.weight").data.filter((_, i) => i % 8 === 0);
    expect([...rows].map((value) => (value - 56) / 8)).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  });

  test("a head of its own, told by the vocabulary's sign", () => {
    const sizes = SIZES.map((size, i) => (i === 5 ? -size : size));
    const { model, first } = open(write("untied.bin", ints(sizes), shared + 2 * 16 * 2 + 40));
    expect(model.head).toBe("lm_head.weight");
    expect(first("lm_head.weight")).toBe(shared + 64);
  });

  test("version 1: norms first, no tables", () => {
    const { first } = open(write("new.bin", newHeader(1, 1), shared));
    expect(first("model.layers.0.post_attention_layernorm.weight")).toBe(16);
    expect(first("model.embed_tokens.weight")).toBe(40);
    expect(open(write("new-untied.bin", newHeader(1, 0), shared + 40)).first("lm_head.weight")).toBe(shared);
  });

  test("cut off, too long, quantised, and other files", () => {
    expect(() => open(write("short.bin", ints(SIZES), shared))).toThrow(code("LLAMA2C_INVALID"));
    expect(() => open(write("long.bin", newHeader(1, 1), shared + 1))).toThrow(code("LLAMA2C_INVALID"));
    expect(() => open(write("quantised.bin", newHeader(2, 1), 100))).toThrow(code("LLAMA2C_INVALID"));
    expect(() => open(write("other.bin", ints([8, 12, 2, 3, 1, 5, 16]), 100))).toThrow(code("MODEL_UNKNOWN"));
    expect(() => openSource(join(root, "old.bin")).base.tokenizer()).toThrow(code("TOKENIZER_MISSING"));
  });
});

test("a tokenizer that is cut off or longer is refused", () => {
  const token = (text: string) => Buffer.concat([Buffer.alloc(4), ints([text.length]), Buffer.from(text)]);
  const file = Buffer.concat([ints([6]), ...["<unk>", "\n<s>\n", "\n</s>\n", "a"].map(token)]);
  expect(() => readLlama2cTokenizer(file, 4, "t.bin")).not.toThrow();
  for (const [bytes, size] of [
    [file, 5],
    [file, 3],
    [file.subarray(0, -1), 4],
    [Buffer.concat([ints([1, 0, -1])]), 1],
  ] as const) {
    expect(() => readLlama2cTokenizer(bytes, size, "t.bin")).toThrow(code("TOKENIZER_MALFORMED"));
  }
});

const stories = sharedPath("models", "stories260K", "stories260K.bin");
test.skipIf(stories === undefined)(
  "a published model tells the story that llama2.c's documentation shows",
  async () => {
    const tokenizer = openSource(stories as string).base.tokenizer();
    const model = await FixtureModel.open(stories as string, () => ({ tensors: new Map(), scale: 1 }));
    const ids = [tokenizer.bosId as number];
    for (let i = 0; i < 40; i++) {
      const last = (await model.logits(ids, { adapter: true })).at(-1) as Float32Array;
      ids.push(last.indexOf(Math.max(...last)));
    }
    expect(tokenizer.decode(ids.slice(1)).trim()).toMatch(
      /^Once upon a time, there was a little girl named Lily\. She loved to play outside in the park\./,
    );
    const text = "Lily saw a big, red ball. ½ ünï";
    expect(tokenizer.decode(tokenizer.encode(text)).trim()).toBe(text);
  },
);
