/** Each family's tiny model as llama.cpp's converter writes it: what is read is the same model. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { BoosterError } from "../src/errors.ts";
import { PAIR, writeGguf } from "../src/formats/gguf-writer.ts";
import { translateName, translateWeight } from "../src/models/gguf.ts";
import { ggufArchitecture, ggufVector, ggufWeights, layoutOf } from "../src/models/gguf-write.ts";
import { ARCHITECTURES, createModel, type Model } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import type { HostTensor } from "../src/tensor/tensor.ts";
import * as build from "./attacks/gguf-builder.ts";
import { FAMILIES, type TinyFamily, VARIANTS } from "./conformance/tiny-families.ts";
import { type HostTensors, randomTensors } from "./conformance/tiny-model.ts";

const root = mkdtempSync(join(tmpdir(), "booster-gguf-families-"));
afterAll(() => rmSync(root, { recursive: true }));

const number = (key: string, value: number) => build.pair(key, build.U32, build.u32(value));
const real = (key: string, value: number) => build.pair(key, build.F32, build.f32(value));
const sizes = { context_length: 64, embedding_length: 16, block_count: 2, feed_forward_length: 24 };
const heads = { "attention.head_count": 4, "attention.head_count_kv": 2 };
const wide = { "attention.key_length": 6, "attention.value_length": 6 };

/** Whole numbers that a family's files state, then the others. */
const STATED: Readonly<Record<string, readonly [Record<string, number>, Record<string, number>]>> = {
  qwen3: [{ "attention.key_length": 4 }, {}],
  phi3: [{ "rope.dimension_count": 4, "rope.scaling.original_context_length": 64 }, {}],
  gemma: [wide, {}],
  gemma2: [
    { ...wide, "attention.sliding_window": 3 },
    { attn_logit_softcapping: 2, final_logit_softcapping: 3 },
  ],
  gemma3_text: [
    { ...wide, "attention.sliding_window": 3, "attention.sliding_window_pattern": 2 },
    { "rope.freq_base": 1e6 },
  ],
  gpt_neox: [{ "rope.dimension_count": 2 }, {}],
};
/** What the files cannot say of the tiny models, in the words of config.json. */
const UNSAID: Readonly<Record<string, object>> = {
  gemma2: { query_pre_attn_scalar: 6 },
  gemma3_text: { query_pre_attn_scalar: 6 },
  smollm3: { rope_theta: 10_000 },
};

describe.each(ARCHITECTURES.filter(({ gguf }) => gguf !== undefined))("$name", ({ name, gguf }) => {
  const layout = gguf as NonNullable<typeof gguf>;
  const config = { ...FAMILIES.find((family) => family.name === name)?.config, ...UNSAID[name] };
  const model = createModel(config);
  const weights = randomTensors(model.weights, "float32");

  test("a file is the model that it was made from", () => {
    const [whole, others] = STATED[name] ?? [{}, {}];
    const prefix = layout.architecture ?? name;
    const epsilon = name.startsWith("gpt") ? "layer_norm_epsilon" : "layer_norm_rms_epsilon";
    const grouped = name.startsWith("gpt") ? { "attention.head_count": 4 } : heads;
    const path = join(root, `${name}.gguf`);
    const pairs = [
      build.pair("general.architecture", build.STRING, build.text(prefix)),
      ...Object.entries({ ...sizes, ...grouped, ...whole }).map(([key, value]) => number(`${prefix}.${key}`, value)),
      ...Object.entries(others).map(([key, value]) => real(`${prefix}.${key}`, value)),
      real(`${prefix}.attention.${epsilon}`, 1e-6),
    ];
    const tensors = Object.entries(weights).map(([weight, value]) => ({
      name: translateName(layout, "toGguf", weight) as string,
      dims: value.shape.toReversed(),
      type: 0,
      data: new Uint8Array(translateWeight(layout, "toGguf", config, weight, value).data.buffer.slice(0)),
    }));
    writeFileSync(path, build.buildGguf({ pairs, tensors }));
    expectModel(path, model, weights);
  });
});

function expectModel(path: string, model: Model, weights: HostTensors): void {
  const { base } = openSource(path);
  const read = createModel(base.config());
  expect(read.weights).toEqual(model.weights);
  for (const key of ["maxPositions", "longBeyond", "softcap", "heads", "kvHeads", "headDim"] as const) {
    expect(read[key], key).toEqual(model[key]);
  }
  for (let layer = 0; layer < model.layers; layer++) expect(read.attention(layer)).toEqual(model.attention(layer));
  const stored = base.weights();
  for (const [weight, { data }] of Object.entries(weights)) {
    const found = stored.load(weight).data;
    expect(Math.max(...found.map((x, i) => Math.abs(x - Number(data[i])))), weight).toBeLessThan(1e-6);
  }
}

/** What llama.cpp takes for granted. */
const GRANTED: Readonly<Record<string, object>> = {
  gemma2: { query_pre_attn_scalar: 6 },
  gemma3_text: { query_pre_attn_scalar: 6, sliding_window_pattern: 6, num_hidden_layers: 7 },
  smollm3: { num_hidden_layers: 5 },
};
const WRITABLE = ARCHITECTURES.flatMap(({ name, gguf }) => (gguf === undefined ? [] : [name]));

describe("written and read again", () => {
  const longrope = VARIANTS.filter(({ name }) => name.startsWith("phi3")).map(({ name, config }) => ({
    name,
    config: { ...config, sliding_window: null },
  }));
  test.each([
    ...FAMILIES.filter(({ name }) => WRITABLE.includes(name)).map(({ name, config }) => ({
      name,
      config: { ...config, ...GRANTED[name] },
    })),
    ...longrope,
    { name: "gemma, linear", config: { ...config("gemma"), rope_scaling: { rope_type: "linear", factor: 4 } } },
    { name: "gpt_neox, one half after the other", config: { ...config("gpt_neox"), use_parallel_residual: false } },
  ])("$name is the same model", ({ name, config }) => {
    const model = createModel(config);
    const weights = randomTensors(model.weights, "float32");
    const path = join(root, `${name}-written.gguf`);
    const { pairs, vectors } = layoutOf(model).write(model, config);
    const load = (weight: string) => weights[weight] as HostTensor<"float32">;
    writeGguf(
      path,
      [PAIR.text("general.architecture", ggufArchitecture(model)), ...pairs],
      new Map([
        ...Object.entries(vectors).map(([key, values]) => [key, ggufVector(values)] as const),
        ...ggufWeights(model, config, load, "F32", () => undefined),
      ]),
    );
    expectModel(path, model, weights);
  });

  test.each([
    ["another scale of scores", { ...config("gemma2") }, "query_pre_attn_scalar 6"],
    ["no cap", { ...config("gemma2"), ...GRANTED.gemma2, attn_logit_softcapping: null }, "both soft caps"],
    ["windows elsewhere", { ...config("gemma3_text"), query_pre_attn_scalar: 6 }, "a window in all but each 6. layer"],
    ["GELU itself", { ...config("gemma3_text"), hidden_activation: "gelu" }, "GELU by tanh"],
    ["biases", { ...config("gemma"), attention_bias: true }, "no attention_bias"],
    ["a head of its own", { ...config("gemma"), tie_word_embeddings: false }, "tied embeddings"],
    ["other layers that turn", { ...config("smollm3"), no_rope_layers: [0, 1] }, "every fourth layer"],
    ["other scores", { ...config("gpt2"), scale_attn_by_inverse_layer_idx: true }, "scores scaled by the width"],
    ["no biases", { ...config("gpt_neox"), attention_bias: false }, "attention_bias"],
  ])("refused: %s", (_, config, granted) => {
    const model = createModel(config);
    expect(() => layoutOf(model).write(model, config)).toThrow(
      expect.objectContaining({
        code: "GGUF_CONFIG_UNSUPPORTED",
        details: expect.objectContaining({ expected: expect.stringContaining(granted) }),
      } satisfies Partial<Record<keyof BoosterError, unknown>>),
    );
  });

  test("refused: frequencies that llama.cpp does not read in this family", () => {
    const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const scaled = { ...config("gemma"), rope_scaling: { ...llama3, original_max_position_embeddings: 8 } };
    const model = createModel(scaled);
    expect(() => layoutOf(model).write(model, scaled)).toThrow(
      expect.objectContaining({ code: "GGUF_ROPE_UNSUPPORTED" }),
    );
  });
});

function config(name: string): TinyFamily["config"] {
  return (FAMILIES.find((family) => family.name === name) as TinyFamily).config;
}
