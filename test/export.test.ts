import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FixtureModel } from "../scripts/fixtures/model.ts";
import { openGguf } from "../src/formats/gguf.ts";
import { readAdapter, writeAdapter } from "../src/formats/peft.ts";
import { writeSafetensors } from "../src/formats/safetensors.ts";
import { createModel, loraScale, mergeLora } from "../src/models/index.ts";
import { openSource } from "../src/models/source.ts";
import { align } from "../src/stages/align.ts";
import { exportModel } from "../src/stages/export/export.ts";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "../src/tensor/half.ts";
import { dequantise, quantiseQ8 } from "../src/tensor/quantised.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../src/tensor/tensor.ts";
import { sharedPath } from "./shared.ts";
import { CHATML, tinyTokenizerFiles } from "./tiny-tokenizer.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "booster-export-"));
});
afterAll(() => rmSync(root, { recursive: true }));
const at = (name: string) => join(root, name);

const CONFIG = {
  model_type: "llama",
  ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 2 },
  ...{ vocab_size: 280, max_position_embeddings: 64, rms_norm_eps: 1e-5, torch_dtype: "float16" },
  rope_parameters: {
    ...{ rope_type: "llama3", rope_theta: 50_000, factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
    original_max_position_embeddings: 32,
  },
};

const random = (name: string, shape: readonly number[]): HostTensor<"float32"> => {
  const stream = new RandomStream(3, name);
  return tensor(
    "float32",
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => stream.normal(i)),
  );
};

/** A Hugging Face folder of random weights. */
function makeModel(name: string, config: object = CONFIG): string {
  const folder = at(name);
  mkdirSync(folder);
  const { json, config: tokenizer } = tinyTokenizerFiles();
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(json));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(tokenizer));
  const { weights } = createModel(config);
  const made = new Map([...weights].map(([weight, shape]) => [weight, random(weight, shape)]));
  writeSafetensors(join(folder, "model.safetensors"), made);
  return folder;
}

/** An adapter on queries and on the feed-forward half. */
function makeAdapter(name: string, r: number): string {
  const { linears } = createModel(CONFIG);
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const [module, [out, width]] of linears) {
    if (!/q_proj|down_proj/.test(module)) continue;
    tensors.set(`${module}.lora_A.weight`, random(`${name} A ${module}`, [r, width]));
    tensors.set(`${module}.lora_B.weight`, random(`${name} B ${module}`, [out, r]));
  }
  const config = { r, alpha: 3, targetModules: ["q_proj", "down_proj"], useRslora: true };
  writeAdapter(at(name), config, tensors, { baseModel: "model" });
  return at(name);
}

const WAYS = {
  float32: (x: Float32Array) => x,
  float16: (x: Float32Array) => halfToFloat(floatToHalf(x)),
  bfloat16: (x: Float32Array) => bfloatToFloat(floatToBfloat(x)),
  q8_0: (x: Float32Array) => dequantise("Q8_0", quantiseQ8(x)),
};

/** Every weight is that of the model with its adapter, rounded once. */
function expectWeights(
  path: string,
  model: string,
  adapter: string | undefined,
  rounded: (x: Float32Array) => Float32Array,
): void {
  const [found, stored] = [openSource(path).base, openSource(model).base.weights()];
  const made = createModel(found.config());
  const names = [...made.weights.keys()];
  let expected = new Map(names.map((name) => [name, stored.load(name)]));
  if (adapter !== undefined) {
    const { config, tensors } = readAdapter(adapter, made);
    expected = mergeLora(expected, tensors, loraScale(config));
  }
  for (const [name, { data, shape }] of expected) {
    const isVector = shape.length === 1 && path.endsWith(".gguf");
    expect(
      Buffer.from(found.weights().load(name).data.buffer).equals(Buffer.from((isVector ? data : rounded(data)).buffer)),
      name,
    ).toBe(true);
  }
}

const TEXTS = ["hello hello w world", "<|im_end|> 12345\n\n\n  Ünï 🙂", " 'll don't"];

/** Fixtures whose vocabulary holds the tiny tokenizer's; the others of the same layouts differ in nothing that is written. */
const FAMILIES: Readonly<Record<string, "safetensors" | "gguf">> = {
  llama3: "gguf",
  "llama-yarn": "gguf",
  qwen3: "gguf",
  olmo2: "gguf",
  mistral: "gguf",
  gemma: "safetensors",
  gemma3: "safetensors",
  gpt2: "safetensors",
  gpt_neox: "safetensors",
};
describe.each(Object.entries(FAMILIES))("%s as %s", (name, format) => {
  const fixture = sharedPath("fixtures", name, "model");
  test.skipIf(fixture === undefined)("computes what the base computes", async () => {
    const model = at(name);
    mkdirSync(model);
    for (const file of ["config.json", "model.safetensors"]) {
      writeFileSync(join(model, file), readFileSync(join(fixture as string, file)));
    }
    const { json, config } = tinyTokenizerFiles();
    writeFileSync(join(model, "tokenizer.json"), JSON.stringify(json));
    writeFileSync(join(model, "tokenizer_config.json"), JSON.stringify(config));
    const out = at(`${name}-exported`);
    await exportModel({ model, out, format, dtype: "float32" });
    const open = (path: string) => FixtureModel.open(path, () => ({ tensors: new Map(), scale: 1 }));
    const [before, after] = [await open(model), await open(out)];
    // Beyond Mistral's window a GGUF file of it does not reach.
    const ids = Array.from({ length: name === "mistral" ? 5 : 36 }, (_, i) => (11 * i + 3) % 90);
    const [expected, found] = [await before.logits(ids, { adapter: true }), await after.logits(ids, { adapter: true })];
    for (const [i, row] of expected.entries()) {
      const largest = Math.max(...row.map(Math.abs));
      const off = Math.max(...row.map((x, k) => Math.abs(x - (found[i]?.[k] as number))));
      expect(off / largest).toBeLessThan(1e-5);
    }
  });
});

test("all weights are trained on a GGUF base, and become a folder with its tokenizer", async () => {
  const base = at("base.gguf");
  await exportModel({ model: makeModel("for-tuning"), out: base, format: "gguf", dtype: "q8_0" });
  const alignment = at("rows.jsonl");
  const row = { instruction: "hello", output: "w and hello" };
  writeFileSync(alignment, [row, { ...row, instruction: "well" }].map((value) => JSON.stringify(value)).join("\n"));
  const run = at("tuned");
  await align({
    run,
    model: base,
    alignment,
    method: { name: "sft" },
    tune: "full",
    steps: 1,
    batchSize: 2,
    threads: 1,
  });
  const [before, after] = [openSource(base).base, openSource(run).base];
  expect(after.path).toBe(join(run, "model"));
  expect(after.tokenizer().encode(TEXTS[0] as string)).toEqual(before.tokenizer().encode(TEXTS[0] as string));
  const [from, to] = [before, after].map((one) => one.weights().load("model.norm.weight").data);
  expect(to).not.toEqual(from);
  await exportModel({ model: run, out: at("tuned.gguf"), format: "gguf", dtype: "float32" });
  expectWeights(at("tuned.gguf"), join(run, "model"), undefined, WAYS.float32);
});

describe("a Hugging Face folder with an adapter", () => {
  let model: string;
  let adapter: string;
  beforeAll(() => {
    model = makeModel("model");
    adapter = makeAdapter("adapter", 4);
  });

  test.each(["float32", "float16", "bfloat16"] as const)("as a folder in %s, in shards", async (dtype) => {
    const out = at(`folder-${dtype}`);
    const written = await exportModel({ model, adapters: [adapter], out, dtype, maxShardSize: 4e-5 });
    expect(written).toEqual({ out, format: "safetensors", dtype, adapters: 1 });
    expectWeights(out, model, adapter, WAYS[dtype]);
    const { metadata, weight_map } = JSON.parse(readFileSync(join(out, "model.safetensors.index.json"), "utf8"));
    const { weights } = createModel(CONFIG);
    const bytes = dtype === "float32" ? 4 : 2;
    expect(metadata.total_size).toBe(bytes * [...weights.values()].reduce((sum, shape) => sum + sizeOf(shape), 0));
    expect(Object.keys(weight_map).toSorted()).toEqual([...weights.keys()].toSorted());
    const count = new Set(Object.values(weight_map)).size;
    expect(count).toBeGreaterThan(1);
    expect(readdirSync(out).filter((name) => name.endsWith(".safetensors"))).toContain(
      `model-00001-of-${`${count}`.padStart(5, "0")}.safetensors`,
    );
    const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
    expect(config).toEqual({ ...CONFIG, torch_dtype: dtype });
  });

  test.each(["float32", "float16", "bfloat16", "q8_0"] as const)("as a GGUF file in %s", async (dtype) => {
    const out = at(`${dtype}.gguf`);
    await exportModel({ model, adapters: [adapter], out, format: "gguf", dtype });
    expectWeights(out, model, adapter, WAYS[dtype]);
    const { base } = openSource(out);
    const { rope_parameters: rope, torch_dtype: _, ...sizes } = CONFIG;
    const { rope_theta, ...scaling } = rope;
    expect(base.config()).toMatchObject({ ...sizes, rope_theta, rope_scaling: scaling, head_dim: 8 });
    const [ours, theirs] = [openSource(model).base.tokenizer(), base.tokenizer()];
    for (const text of TEXTS) {
      for (const allowSpecial of [false, true]) {
        expect(theirs.encode(text, { allowSpecial })).toEqual(ours.encode(text, { allowSpecial }));
      }
    }
    expect([theirs.bosId, theirs.padId, theirs.addsBos, theirs.chatTemplate, theirs.eosIds[0]]).toEqual([
      ...[ours.bosId, ours.padId, ours.addsBos, CHATML, ours.eosIds[0]],
    ]);
    expect(theirs.tokenOf(279)).toBe("[PAD279]");
  });

  test("and that as another one, with all that it says of itself, and as a folder", async () => {
    const from = at("from.gguf");
    await exportModel({ model, out: from, format: "gguf", dtype: "float32" });
    const out = at("again.gguf");
    await exportModel({ model: from, adapters: [adapter], out, format: "gguf", dtype: "q8_0" });
    expectWeights(out, model, adapter, WAYS.q8_0);
    const said = (path: string) => {
      const { metadata } = openGguf(path);
      return Object.entries(metadata)
        .filter(([key]) => key !== "general.file_type")
        .toSorted();
    };
    expect(said(out)).toEqual(said(from));
    await exportModel({ model: out, out: at("unpacked") });
    expectWeights(at("unpacked"), out, undefined, WAYS.float32);
  });

  test("the adapters alone for llama.cpp: A as it is, rows of B as the weight's, the scale by alpha", async () => {
    const second = makeAdapter("second", 2);
    await exportModel({ model, adapters: [adapter, second], out: at("lora.gguf"), format: "gguf-lora" });
    const { metadata, entries, load } = openGguf(at("lora.gguf"));
    expect(metadata).toMatchObject({
      "general.type": "adapter",
      "adapter.type": "lora",
      "general.architecture": "llama",
    });
    expect(entries.size).toBe(8);
    const [a, b] = [load("blk.1.attn_q.weight.lora_a"), load("blk.1.attn_q.weight.lora_b")];
    expect([a.shape, b.shape]).toEqual([
      [6, 32],
      [32, 6],
    ]);
    const scale = Number(metadata["adapter.lora.alpha"]) / 6;
    expect(scale).toBeCloseTo(3 / Math.sqrt(4), 6);
    const parts = [adapter, second].map((folder) => readAdapter(folder, createModel(CONFIG)));
    // Row 2 of a head of eight here is row 4 there, row 5 is 3.
    for (const [here, there] of [
      [10, 12],
      [13, 11],
    ] as const) {
      const module = "model.layers.1.self_attn.q_proj";
      const expected = parts.reduce((sum, { config, tensors }) => {
        const [down, up] = ["A", "B"].map(
          (half) => tensors.get(`${module}.lora_${half}.weight`) as HostTensor<"float32">,
        );
        const ranks = Array.from({ length: config.r }, (_, k) => k);
        return (
          sum +
          loraScale(config) *
            ranks.reduce(
              (all, k) => all + (up!.data[here * config.r + k] as number) * (down!.data[k * 32 + 7] as number),
              0,
            )
        );
      }, 0);
      const got = Array.from(
        { length: 6 },
        (_, k) => (b.data[there * 6 + k] as number) * (a.data[k * 32 + 7] as number),
      );
      expect(scale * got.reduce((x, y) => x + y)).toBeCloseTo(expected, 4);
    }
  });

  test("what cannot be written is refused, and nothing is left behind", async () => {
    const before = readdirSync(root).length;
    const refused = (options: Partial<Parameters<typeof exportModel>[0]>, code: string) =>
      expect(exportModel({ model, out: at("none"), ...options })).rejects.toMatchObject({ code });
    await refused({ out: model }, "RUN_EXISTS");
    await refused({ dtype: "q8_0" }, "OPTIONS_CONFLICT");
    await refused({ format: "gguf-lora" }, "OPTIONS_CONFLICT");
    await refused({ format: "gguf", out: at("float32.gguf") }, "RUN_EXISTS");
    await refused({ format: "zip" as "gguf" }, "OPTIONS_INVALID");
    expect(readdirSync(root).length).toBe(before);
    expect(existsSync(at("none"))).toBe(false);
  });

  test("a number that float16 does not hold", async () => {
    const large = makeModel("large");
    const { weights } = createModel(CONFIG);
    const made = new Map([...weights].map(([name, shape]) => [name, random(name, shape)]));
    (made.get("lm_head.weight") as HostTensor<"float32">).data[5] = 70_000;
    writeSafetensors(join(large, "model.safetensors"), made);
    const out = at("too-large");
    await expect(exportModel({ model: large, out, dtype: "float16" })).rejects.toMatchObject({
      code: "NON_FINITE_WEIGHT",
    });
    expect(readdirSync(root).filter((name) => name.startsWith("too-large"))).toEqual([]);
    await exportModel({ model: large, out, dtype: "bfloat16" });
  });
});
