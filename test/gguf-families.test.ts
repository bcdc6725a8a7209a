/** Each family's tiny model as llama.cpp's converter writes it: what is read is the same model. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { translateName, translateWeight } from "../src/models/gguf.ts";
import { ARCHITECTURES, createModel } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import * as build from "./attacks/gguf-builder.ts";
import { FAMILIES } from "./conformance/tiny-families.ts";
import { randomTensors } from "./conformance/tiny-model.ts";

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
    const { base } = openSource(path);
    const read = createModel(base.config());
    expect(read.weights).toEqual(model.weights);
    for (const key of ["maxPositions", "softcap", "heads", "kvHeads", "headDim"] as const) {
      expect(read[key], key).toEqual(model[key]);
    }
    for (const layer of [0, 1]) expect(read.attention(layer)).toEqual(model.attention(layer));
    const stored = base.weights();
    for (const [weight, { data }] of Object.entries(weights)) {
      const found = stored.load(weight).data;
      expect(Math.max(...found.map((x, i) => Math.abs(x - (data[i] as number)))), weight).toBeLessThan(1e-6);
    }
  });
});
