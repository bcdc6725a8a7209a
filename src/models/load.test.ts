import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tinyTokenizerFiles } from "../../test/tiny-tokenizer.ts";
import { readAdapter, writeAdapter } from "../formats/peft.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { Device } from "../runtime/index.ts";
import { floatToHalf, halfToFloat } from "../tensor/half.ts";
import { RandomStream } from "../tensor/random.ts";
import { type HostTensor, sizeOf, tensor, zeros } from "../tensor/tensor.ts";
import { createModel } from "./index.ts";
import { freshLora, type LoadedModel, loadModel, loraScale, mergeAdapter, readLora, readPeft } from "./load.ts";
import { targetsOf } from "./modules.ts";
import { modelIdentity } from "./source.ts";
import { readWeights } from "./storages.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-load-"));
const path = join(folder, "model");
const { json, config: tokenizerConfig } = tinyTokenizerFiles();
const config = {
  model_type: "llama",
  hidden_size: 16,
  intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 300,
  tie_word_embeddings: true,
};
const model = createModel(config);
const lora = { r: 4, alpha: 8, targetModules: ["q_proj", "v_proj"], useRslora: false };
const random = new RandomStream(1, "load test");

const weights = new Map(
  [...model.weights].map(([name, shape], i): [string, HostTensor<"float32">] => [
    name,
    tensor(
      "float32",
      shape,
      Float32Array.from({ length: sizeOf(shape) }, (_, at) => random.normal(i * 10_000 + at)),
    ),
  ]),
);

function write(name: string, content: unknown): void {
  writeFileSync(join(path, name), JSON.stringify(content));
}

beforeAll(() => {
  rmSync(path, { recursive: true, force: true });
  writeAdapter(path, lora, freshLora(model, lora, 1), { baseModel: "x" });
  write("config.json", config);
  write("tokenizer.json", json);
  write("tokenizer_config.json", tokenizerConfig);
  writeSafetensors(join(path, "model.safetensors"), weights);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("fresh LoRA factors", () => {
  test("A is uniform in ±1/sqrt(in), B is zero, as PEFT begins", () => {
    const factors = freshLora(model, { ...lora, r: 64 }, 3);
    const a = factors.get("model.layers.0.self_attn.q_proj.lora_A.weight")!;
    const b = factors.get("model.layers.0.self_attn.q_proj.lora_B.weight")!;
    expect(a.shape).toEqual([64, 16]);
    expect(b.shape).toEqual([16, 64]);
    expect(new Set(b.data)).toEqual(new Set([0]));
    const bound = 1 / Math.sqrt(16);
    expect(Math.max(...a.data.map(Math.abs))).toBeLessThanOrEqual(bound);
    const variance = a.data.reduce((sum, x) => sum + x * x, 0) / a.data.length;
    expect(variance).toBeCloseTo((bound * bound) / 3, 2);
  });

  test("a seed decides them, layer by layer", () => {
    const name = "model.layers.1.self_attn.v_proj.lora_A.weight";
    expect(freshLora(model, lora, 3)).toEqual(freshLora(model, lora, 3));
    expect(freshLora(model, lora, 3).get(name)).not.toEqual(freshLora(model, lora, 4).get(name));
    const some = freshLora(model, { ...lora, targetModules: ["v_proj"] }, 3);
    expect(some.get(name)).toEqual(freshLora(model, lora, 3).get(name));
    expect(some.size).toBe(4);
  });
});

test("all-linear is every linear layer but the head", () => {
  const targetModules = targetsOf(model, ["all-linear"]);
  expect(targetModules).toEqual(["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]);
  expect(freshLora(model, { ...lora, targetModules }, 1).size).toBe(2 * model.linears.size);
});

test("the scale is alpha / r, or alpha / sqrt(r) when rank-stabilised", () => {
  expect(loraScale(lora)).toBe(2);
  expect(loraScale({ ...lora, useRslora: true })).toBe(4);
});

test("an adapter is merged into what it touches, everything else is shared", async () => {
  const base = await loadModel(path, new Device({ threads: 1 }));
  const adapter = readLora(base, path);
  const trained = new Map(
    [...adapter.tensors].map(([name, t]) => [name, { ...t, data: t.data.map((_, i) => random.normal(i)) }]),
  );
  const merged = await mergeAdapter(base, { ...adapter, tensors: trained });
  const [touched, other] = ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight"];
  expect(merged.weights[other]).toBe(base.weights[other]);
  const [a, b] = ["A", "B"].map((part) => trained.get(`model.layers.0.self_attn.q_proj.lora_${part}.weight`)!.data);
  let expected = base.load(touched).data[16 * 3 + 5]!;
  for (let r = 0; r < 4; r++) expected += 2 * b![3 * 4 + r]! * a![r * 16 + 5]!;
  expect(merged.load(touched).data[16 * 3 + 5]).toBeCloseTo(expected, 5);
  expect((merged.weights[touched]!.data as Float32Array)[16 * 3 + 5]).toBeCloseTo(expected, 5);
  expect(base.load(touched)).toEqual(weights.get(touched));
});

test("a whole weight of an adapter stands as the family's files have it", () => {
  const gpt2 = createModel({ model_type: "gpt2", n_embd: 4, n_layer: 1, n_head: 2, vocab_size: 5, n_positions: 8 });
  const saved = join(folder, "saved");
  const at = "transformer.h.0";
  const factors = new Map([
    [`${at}.attn.c_proj.lora_A.weight`, [2, 4]],
    [`${at}.attn.c_proj.lora_B.weight`, [4, 2]],
  ] as const);
  const whole = tensor(
    "float32",
    [4, 16],
    Float32Array.from({ length: 64 }, (_, i) => i),
  );
  mkdirSync(saved);
  const modules = { target_modules: ["attn.c_proj"], modules_to_save: ["c_fc"] };
  writeFileSync(
    join(saved, "adapter_config.json"),
    JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 2, ...modules }),
  );
  const tensors = new Map<string, HostTensor>([
    ...[...factors].map(([name, shape]) => [`base_model.model.${name}`, zeros("float32", shape)] as const),
    [`base_model.model.${at}.mlp.c_fc.weight`, whole],
    [`base_model.model.${at}.mlp.c_fc.bias`, zeros("float32", [16])],
  ]);
  writeSafetensors(join(saved, "adapter_model.safetensors"), tensors);
  const read = readPeft({ model: gpt2 }, saved).tensors.get(`${at}.mlp.c_fc.weight`);
  expect(read?.shape).toEqual([16, 4]);
  expect(read?.data[4 * 3 + 2]).toBe(2 * 16 + 3);
});

test("matrices stay as they are stored, or as asked for; those that an adapter is merged into become float32", async () => {
  const halves = new Map(
    [...weights].map(([name, { shape, data }]) => [name, tensor("float16", shape, floatToHalf(data))] as const),
  );
  writeSafetensors(join(path, "model.safetensors"), halves);
  const device = new Device({ threads: 1 });
  const [touched, other, norm] = [
    "model.layers.0.self_attn.q_proj.weight",
    "model.layers.0.mlp.up_proj.weight",
    "model.norm.weight",
  ];
  const typesIn = ({ weights }: LoadedModel) =>
    [touched, other, norm, model.embedding].map((name) => weights[name]?.type);
  const base = await loadModel(path, device);
  expect(typesIn(base)).toEqual(["float16", "float16", "float32", "float16"]);
  expect(base.load(other).data).toEqual(halfToFloat(halves.get(other)!.data));
  expect(typesIn(await mergeAdapter(base, readLora(base, path)))).toEqual(["float32", "float16", "float32", "float16"]);
  expect(typesIn(await loadModel(path, device, { form: "float32" }))).toEqual(Array(4).fill("float32"));
  const quantised = await loadModel(path, device, { form: "int4" });
  expect(typesIn(quantised)).toEqual(["uint8", "uint8", "float32", "int8"]);
  // What is on the host is what programs compute with.
  const read = await readWeights(device, quantised.weights, [other, model.embedding]);
  for (const [name, { data }] of read) expect(quantised.load(name).data).toEqual(data);
  writeSafetensors(join(path, "model.safetensors"), weights);
});

test("weights that do not fit config.json are refused by name", async () => {
  write("config.json", { ...config, intermediate_size: 48 });
  await expect(loadModel(path, new Device())).rejects.toMatchObject({ code: "MODEL_WEIGHTS_MISMATCH" });
  write("config.json", config);
});

test("the identity follows weights, configuration and adapter", async () => {
  const before = await modelIdentity(path);
  expect(await modelIdentity(path)).toBe(before);
  write("config.json", { ...config, rms_norm_eps: 1e-5 });
  expect(await modelIdentity(path)).not.toBe(before);
  write("config.json", config);
  expect(readAdapter(path).config.r).toBe(4);
  await expect(modelIdentity(join(folder, "nowhere"))).rejects.toMatchObject({ code: "FILE_NOT_FOUND" });
});
