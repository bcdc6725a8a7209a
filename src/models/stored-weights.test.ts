import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as build from "../../test/attacks/gguf-builder.ts";
import { sharedPath } from "../../test/shared.ts";
import { writeSafetensors } from "../formats/safetensors.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import { openSource } from "./source.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "booster-weights-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function openModel(path: string) {
  const { base } = openSource(path);
  return { config: base.config(), weights: base.weights() };
}

const code = (expected: string) => expect.objectContaining({ code: expected });

function folder(files: Record<string, ReadonlyMap<string, HostTensor> | string>): string {
  const path = mkdtempSync(join(root, "model-"));
  writeFileSync(join(path, "config.json"), '{"model_type":"llama"}');
  for (const [name, content] of Object.entries(files)) {
    if (typeof content === "string") writeFileSync(join(path, name), content);
    else writeSafetensors(join(path, name), content);
  }
  return path;
}
const index = (map: Record<string, string>): string => JSON.stringify({ metadata: {}, weight_map: map });

describe("Hugging Face folders", () => {
  const a = new Map([["a", tensor("float32", [2], [1, 2])]]);
  const b = new Map([["b", tensor("float64", [1], [0.1])]]);

  test("one file", () => {
    const { config, weights } = openModel(folder({ "model.safetensors": a }));
    expect([config, weights.names(), weights.shapeOf("a")]).toEqual([{ model_type: "llama" }, ["a"], [2]]);
    expect(weights.load("a")).toEqual(tensor("float32", [2], [1, 2]));
    expect(() => weights.shapeOf("b")).toThrow(code("TENSOR_NOT_FOUND"));
  });

  test("shards, float64 narrowed", () => {
    const files = { "x-1.safetensors": a, "x-2.safetensors": b };
    const map = index({ a: "x-1.safetensors", b: "x-2.safetensors" });
    const { weights } = openModel(folder({ ...files, "model.safetensors.index.json": map }));
    expect(weights.names()).toEqual(["a", "b"]);
    expect(weights.load("b")).toEqual(tensor("float32", [1], [0.1]));
  });

  test.each([
    ["another folder", index({ a: "../x-1.safetensors" })],
    ["an absolute path", index({ a: "/x-1.safetensors" })],
    ["the wrong shard", index({ b: "x-1.safetensors" })],
    ["no map", "{}"],
    ["a list", '{"weight_map":[]}'],
    ["null", "null"],
  ])("an index that names %s is refused", (_, map) => {
    const path = folder({ "x-1.safetensors": a, "model.safetensors.index.json": map });
    expect(() => openModel(path)).toThrow(code("SAFETENSORS_INDEX_INVALID"));
  });

  test("NaN and infinity are found on load, named with their index", () => {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const { weights } = openModel(
        folder({ "model.safetensors": new Map([["w", tensor("float32", [2, 2], [0, 1, 2, bad])]]) }),
      );
      expect(() => weights.load("w")).toThrow(code("NON_FINITE_WEIGHT"));
      expect(() => weights.load("w")).toThrow(`${bad} at index 3 of [2, 2]`);
    }
  });

  test("whole numbers, no weights, pickles, a config given twice, nothing at all", () => {
    const whole = openModel(folder({ "model.safetensors": new Map([["w", tensor("int32", [1], [1])]]) }));
    expect(() => whole.weights.load("w")).toThrow(code("WEIGHT_NOT_FLOAT"));
    expect(() => openModel(folder({}))).toThrow(code("WEIGHTS_NOT_FOUND"));
    expect(() => openModel(folder({ "pytorch_model.bin": "x" }))).toThrow(/convert it to safetensors/);
    expect(() => openModel(folder({ "config.json": '{"a":1,"a":2}' }))).toThrow(code("JSON_DUPLICATE_KEY"));
    expect(() => openModel(join(root, "absent"))).toThrow(code("FILE_NOT_FOUND"));
  });

  const fixture = sharedPath("fixtures", "llama", "model");
  test.skipIf(fixture === undefined)("a folder of the original library", () => {
    const { weights } = openModel(fixture!);
    for (const name of weights.names()) expect(weights.load(name).shape).toEqual(weights.shapeOf(name));
    const copy = join(root, "no-config");
    mkdirSync(copy);
    cpSync(join(fixture!, "model.safetensors"), join(copy, "model.safetensors"));
    expect(() => openModel(copy)).toThrow(code("FILE_NOT_FOUND"));
  });
});

describe("GGUF files", () => {
  const floats = (length: number): Buffer => Buffer.concat(Array.from({ length }, (_, i) => build.f32(i)));
  const number = (key: string, value: number) => build.pair(key, build.U32, build.u32(value));
  const real = (key: string, value: number) => build.pair(key, build.F32, build.f32(value));
  const text = (key: string, value: string) => build.pair(key, build.STRING, build.text(value));

  function gguf(architecture: string, extra: Uint8Array[] = [], more: build.RawTensor[] = []): string {
    const path = join(mkdtempSync(join(root, "gguf-")), "m.gguf");
    const pairs = [
      build.pair("general.architecture", build.STRING, build.text(architecture)),
      number(`${architecture}.embedding_length`, 8),
      number(`${architecture}.block_count`, 1),
      number(`${architecture}.attention.head_count`, 2),
      number(`${architecture}.attention.head_count_kv`, 1),
      number(`${architecture}.feed_forward_length`, 12),
      number(`${architecture}.context_length`, 64),
      real(`${architecture}.attention.layer_norm_rms_epsilon`, 1e-5),
      real(`${architecture}.rope.freq_base`, 500_000),
      number("tokenizer.ggml.eos_token_id", 2),
      ...extra,
    ];
    const tensors = [
      { name: "token_embd.weight", dims: [8, 3], type: 0, data: floats(24) },
      { name: "blk.0.attn_q.weight", dims: [1, 8], type: 0, data: floats(8) },
      { name: "blk.0.attn_k.bias", dims: [4], type: 0, data: floats(4) },
      ...more,
    ];
    writeFileSync(path, build.buildGguf({ pairs, tensors }));
    return path;
  }

  test("the configuration as Hugging Face writes it", () => {
    const { config } = openModel(
      gguf("llama", [
        real("llama.rope.scaling.factor", 4),
        build.pair("llama.rope.scaling.type", build.STRING, build.text("linear")),
      ]),
    );
    expect(config).toEqual({
      model_type: "llama",
      architectures: ["LlamaForCausalLM"],
      hidden_act: "silu",
      hidden_size: 8,
      intermediate_size: 12,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 4,
      rms_norm_eps: 1e-5,
      rope_theta: 500_000,
      rope_scaling: { rope_type: "linear", factor: 4 },
      max_position_embeddings: 64,
      vocab_size: 3,
      tie_word_embeddings: true,
      attention_bias: false,
      mlp_bias: false,
      bos_token_id: null,
      eos_token_id: 2,
      pad_token_id: null,
    });
  });

  const scalingOf = (pairs: Uint8Array[], more: build.RawTensor[] = []) =>
    (openModel(gguf("llama", pairs, more)).config as Record<string, unknown>).rope_scaling;

  test("scaling of positions, and what it is where the file does not say", () => {
    const by = (type: string, factor = 4) => [
      text("llama.rope.scaling.type", type),
      real("llama.rope.scaling.factor", factor),
    ];
    const linear = { rope_type: "linear", factor: 4 };
    expect(scalingOf([real("llama.rope.scaling.factor", 4)])).toEqual(linear);
    expect(scalingOf([real("llama.rope.scale_linear", 4)])).toEqual(linear);
    expect(scalingOf(by("none"))).toBeNull();
    expect(scalingOf([text("llama.rope.scaling.type", "yarn")])).toBeNull();
    const yarn = { rope_type: "yarn", factor: 4, beta_fast: 32, beta_slow: 1 };
    const original = number("llama.rope.scaling.original_context_length", 16);
    expect(scalingOf([...by("yarn"), original])).toEqual({ ...yarn, original_max_position_embeddings: 16 });
    expect(scalingOf([...by("yarn"), real("llama.rope.scaling.attn_factor", 0.5)])).toEqual({
      ...yarn,
      original_max_position_embeddings: 64,
      attention_factor: 0.5 * (1 + 0.1 * Math.log(4)),
    });
  });

  test("factors of frequencies are Llama 3.1's scaling, or stand for themselves", () => {
    const factors = (...values: number[]): build.RawTensor[] => [
      { name: "rope_freqs.weight", dims: [2], type: 0, data: Buffer.concat(values.map(build.f32)) },
    ];
    expect(scalingOf([], factors(1, 1))).toBeNull();
    // 64 positions are 10 turns of the first pair and 0.014 of the second.
    expect(scalingOf([], factors(1, 8))).toMatchObject({ rope_type: "llama3", factor: 8 });
    const own = { rope_type: "longrope", short_factor: [2, 8], long_factor: [2, 8], attention_factor: 1 };
    expect(scalingOf([], factors(2, 8))).toMatchObject(own);
  });

  test("a list of equal numbers, one a block, is that number", () => {
    const lengths = (...values: number[]) =>
      gguf("llama", [
        build.pair("llama.attention.key_length", build.ARRAY, build.array(build.U32, values.map(build.u32))),
      ]);
    expect(openModel(lengths(6, 6)).config).toMatchObject({ head_dim: 6 });
    expect(() => openModel(lengths(6, 4))).toThrow(code("GGUF_METADATA_INVALID"));
  });

  test("names and rotary order are Hugging Face's for llama; qwen2 keeps its order", () => {
    const { weights } = openModel(gguf("llama"));
    expect(weights.names()).toEqual([
      "model.embed_tokens.weight",
      "model.layers.0.self_attn.q_proj.weight",
      "model.layers.0.self_attn.k_proj.bias",
    ]);
    expect(weights.shapeOf("model.embed_tokens.weight")).toEqual([3, 8]);
    expect([...weights.load("model.layers.0.self_attn.q_proj.weight").data]).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
    expect([...weights.load("model.layers.0.self_attn.k_proj.bias").data]).toEqual([0, 2, 1, 3]);
    const qwen = openModel(gguf("qwen2")).weights;
    expect([...qwen.load("model.layers.0.self_attn.k_proj.bias").data]).toEqual([0, 1, 2, 3]);
  });

  test("what cannot be translated is refused", () => {
    const extra = (name: string): build.RawTensor => ({ name, dims: [2], type: 0, data: floats(2) });
    expect(() => openModel(gguf("mamba"))).toThrow(code("GGUF_ARCHITECTURE_UNSUPPORTED"));
    expect(() => openModel(gguf("llama", [], [extra("blk.0.ffn_gate_inp.weight")]))).toThrow(
      code("GGUF_TENSOR_UNKNOWN"),
    );
    expect(() => openModel(gguf("llama", [], [extra("rope_freqs.weight")]))).toThrow(code("GGUF_SHAPE_INVALID"));
    const longrope = text("llama.rope.scaling.type", "longrope");
    expect(() => openModel(gguf("llama", [real("llama.rope.scaling.factor", 4), longrope]))).toThrow(
      code("GGUF_ROPE_UNSUPPORTED"),
    );
    for (const pair of [
      number("llama.rope.dimension_count", 2),
      number("llama.attention.key_length", 3),
      number("llama.expert_count", 8),
      real("llama.logit_scale", 2),
      number("llama.attention.sliding_window", 16),
      number("llama.attention.value_length", 2),
    ]) {
      expect(() => openModel(gguf("llama", [pair]))).toThrow(code("GGUF_METADATA_INVALID"));
    }
    const nan: build.RawTensor = { name: "output_norm.weight", dims: [1], type: 0, data: build.f32(Number.NaN) };
    expect(() => openModel(gguf("llama", [], [nan])).weights.load("model.norm.weight")).toThrow(
      code("NON_FINITE_WEIGHT"),
    );
  });

  const smollm = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
  test.skipIf(smollm === undefined)("a real model", () => {
    const { config, weights } = openModel(smollm!);
    expect(config).toMatchObject({ hidden_size: 576, num_hidden_layers: 30, rms_norm_eps: 1e-5, rope_theta: 100_000 });
    expect(weights.names()).toHaveLength(272);
    expect(weights.load("model.layers.29.self_attn.k_proj.weight").shape).toEqual([192, 576]);
  });
});
