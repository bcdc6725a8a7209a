import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { rawSafetensors } from "../../test/attacks/safetensors.ts";
import { sharedPath } from "../../test/shared.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { checkWeights } from "./load.ts";
import { createModel } from "./registry.ts";
import { openSource } from "./source.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "booster-names-"));
});
afterAll(() => rmSync(root, { recursive: true }));

const sizes = { hidden_size: 8, intermediate_size: 12, num_attention_heads: 2, num_hidden_layers: 1, vocab_size: 6 };
const CONFIG = { model_type: "llama", ...sizes, tie_word_embeddings: true };
const MODEL = createModel(CONFIG);
const EMBEDDING = "model.embed_tokens.weight";
const BYTES: Readonly<Record<string, number>> = { F32: 4, F8_E4M3: 1, I8: 1, U8: 1, U16: 2, F4: 0.5 };

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
}
type Entries = Record<string, Entry>;

/** The model's weights, all of them 0.5, under the names that `rename` gives them. */
const weights = (rename = (name: string) => name): Entries =>
  Object.fromEntries([...MODEL.weights].map(([name, shape]) => [rename(name), { dtype: "F32", shape }]));

function folder(entries: Entries, metadata?: unknown, config: object = CONFIG): string {
  const path = mkdtempSync(join(root, "model-"));
  let at = 0;
  const blobs: Buffer[] = [];
  const header: Record<string, unknown> = metadata === undefined ? {} : { __metadata__: metadata };
  for (const [name, { dtype, shape }] of Object.entries(entries)) {
    const bytes = Buffer.alloc(sizeOf(shape) * (BYTES[dtype] as number));
    if (dtype === "F32") new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4).fill(0.5);
    header[name] = { dtype, shape, data_offsets: [at, at + bytes.length] };
    at += bytes.length;
    blobs.push(bytes);
  }
  writeFileSync(join(path, "config.json"), JSON.stringify(config));
  writeFileSync(join(path, "model.safetensors"), rawSafetensors(JSON.stringify(header), Buffer.concat(blobs)));
  return path;
}

function check(path: string, model = MODEL): void {
  const stored = openSource(path).base.weights();
  checkWeights(model, stored, path);
  for (const name of model.weights.keys()) expect(stored.load(name).data[0], name).toBe(0.5);
}

const code = (name: string) => expect.objectContaining({ code: name });

describe("files that are read", () => {
  test.each<[string, Entries, unknown?]>([
    ["as the model names its weights", weights()],
    ["metadata that are null", weights(), null],
    ["names without the model's prefix", weights((name) => name.replace("model.", ""))],
    ["a tied embedding under the head's name", weights((name) => (name === EMBEDDING ? "lm_head.weight" : name))],
    [
      "a weight under the name that the metadata tell",
      weights((name) => (name === EMBEDDING ? "shared" : name)),
      { [EMBEDDING]: "shared" },
    ],
    [
      "a scale of a cache in eight bits",
      { ...weights(), "model.layers.0.self_attn.k_scale": { dtype: "F8_E4M3", shape: [4] } },
    ],
    ["whole numbers of other types", { ...weights(), a: { dtype: "I8", shape: [2] }, b: { dtype: "U16", shape: [2] } }],
    ["half bytes", { ...weights(), a: { dtype: "F4", shape: [4] } }],
    ["frequencies", { ...weights(), "model.layers.0.self_attn.rotary_emb.inv_freq": { dtype: "F32", shape: [2] } }],
  ])("%s", (_, entries, metadata) => check(folder(entries, metadata)));
});

test("the head of GPT-NeoX as transformers 5 names it in memory", () => {
  const config = { ...CONFIG, model_type: "gpt_neox", rotary_pct: 0.5, tie_word_embeddings: false };
  const model = createModel(config);
  const entries = [...model.weights].map(([name, shape]) => [
    name.replace("embed_out", "lm_head"),
    { dtype: "F32", shape },
  ]);
  check(folder(Object.fromEntries(entries), undefined, config), model);
});

describe("files that are refused", () => {
  const query = "model.layers.0.self_attn.q_proj.weight";

  test("a weight in a type that no weight is read from", () => {
    const path = folder({ ...weights(), [query]: { dtype: "F8_E4M3", shape: [8, 8] } });
    expect(() => check(path)).toThrow(code("SAFETENSORS_DTYPE_UNSUPPORTED"));
    expect(() => check(path)).toThrow(query);
  });

  test("a quantised checkpoint, told as such", () => {
    const packed = { [query]: { dtype: "U8", shape: [32, 1] }, [`${query}.absmax`]: { dtype: "F32", shape: [1] } };
    expect(() => check(folder({ ...weights(), ...packed }))).toThrow(/quantised checkpoint/);
  });

  test("a bias that the configuration does not speak of", () => {
    const bias = { "model.layers.0.self_attn.q_proj.bias": { dtype: "F32", shape: [8] } };
    expect(() => check(folder({ ...weights(), ...bias }))).toThrow(code("MODEL_WEIGHTS_MISMATCH"));
  });

  test("half bytes that are no whole ones", () => {
    expect(() => check(folder({ ...weights(), a: { dtype: "F4", shape: [3] } }))).toThrow(
      code("SAFETENSORS_SHAPE_INVALID"),
    );
  });

  test("an embedding and a head that are said to be one, and differ, as transformers 5 does not tie them", () => {
    const head = { "lm_head.weight": { dtype: "F32", shape: [6, 8] } };
    check(folder({ ...weights(), ...head }));
    const path = folder({ ...weights(), ...head });
    const file = join(path, "model.safetensors");
    const bytes = readFileSync(file);
    bytes.writeFloatLE(0.25, bytes.length - 4);
    writeFileSync(file, bytes);
    expect(() => check(path)).toThrow(/said to be one/);
  });

  test("a head in the embedding's place where the configuration does not tie them", () => {
    const config = { ...CONFIG, tie_word_embeddings: false };
    const entries = weights((name) => (name === EMBEDDING ? "lm_head.weight" : name));
    expect(() => check(folder(entries, undefined, config), createModel(config))).toThrow(
      code("MODEL_WEIGHTS_MISMATCH"),
    );
  });
});

const stories = sharedPath("models", "tinystories-656k");
test.skipIf(stories === undefined)("a published model with its tied weight under the head's name", () => {
  const { base } = openSource(stories as string);
  checkWeights(createModel(base.config()), base.weights(), base.path);
  expect(base.weights().load(EMBEDDING).shape).toEqual([2048, 128]);
  const tokenizer = base.tokenizer();
  expect(tokenizer.eosIds).toEqual([2]);
  // Written in a text it is plain text.
  expect(tokenizer.encode("the end<|end_story|>")).not.toContain(2);
});
