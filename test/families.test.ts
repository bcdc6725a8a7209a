import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Fixture } from "../scripts/fixtures/fixture.ts";
import { readSafetensors } from "../src/formats/safetensors.ts";
import { paddedStates, paddedTypes, weightsOf } from "../src/models/index.ts";
import { targetsOf } from "../src/models/modules.ts";
import { createModel } from "../src/models/registry.ts";
import { openFolder } from "../src/models/stored-weights.ts";
import { typesOf } from "../src/runtime/index.ts";
import { TrainingOptions } from "../src/stages/options.ts";
import { writeModel } from "../src/stages/publish.ts";
import { newAdapter } from "../src/stages/starting-weights.ts";
import { tensor } from "../src/tensor/tensor.ts";
import { FAMILIES } from "./conformance/tiny-families.ts";
import { randomTensors, relativeError } from "./conformance/tiny-model.ts";
import { sharedPath } from "./shared.ts";

const refused = (found: string, code = "MODEL_CONFIG_INVALID") =>
  expect.objectContaining({ code, message: expect.stringContaining(found) });

const tiny = (family: string) => FAMILIES.find(({ name }) => name === family)?.config;

const common = {
  bos_token_id: 1,
  eos_token_id: 2,
  initializer_range: 0.02,
  torch_dtype: "float16",
  transformers_version: "4.40.1",
  use_cache: true,
  vocab_size: 32,
};
const sizes = {
  ...common,
  hidden_size: 64,
  intermediate_size: 32,
  num_hidden_layers: 6,
  num_attention_heads: 2,
  max_position_embeddings: 8192,
};
const gemma = { ...sizes, num_key_value_heads: 1, attention_bias: false, attention_dropout: 0.0, head_dim: 256 };

/** What published files say, with smaller sizes. */
const PUBLISHED: Readonly<Record<string, Record<string, unknown>>> = {
  "Gemma 2B": { ...gemma, model_type: "gemma", hidden_act: "gelu", hidden_activation: null, rope_scaling: null },
  "Gemma 2 2B": {
    ...gemma,
    model_type: "gemma2",
    attn_logit_softcapping: 50.0,
    cache_implementation: "hybrid",
    final_logit_softcapping: 30.0,
    hidden_act: "gelu_pytorch_tanh",
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    sliding_window_size: 4096,
  },
  "Gemma 3 1B": {
    ...gemma,
    model_type: "gemma3_text",
    attn_logit_softcapping: null,
    cache_implementation: "hybrid",
    final_logit_softcapping: null,
    hidden_activation: "gelu_pytorch_tanh",
    query_pre_attn_scalar: 256,
    rope_local_base_freq: 10000,
    rope_scaling: { factor: 8.0, rope_type: "linear" },
    rope_theta: 1000000,
    sliding_window: 512,
    sliding_window_pattern: 6,
    use_bidirectional_attention: false,
  },
  "GPT-2": {
    ...common,
    model_type: "gpt2",
    activation_function: "gelu_new",
    attn_pdrop: 0.1,
    embd_pdrop: 0.1,
    layer_norm_epsilon: 1e-5,
    n_ctx: 64,
    n_embd: 12,
    n_head: 2,
    n_layer: 2,
    n_positions: 64,
    resid_pdrop: 0.1,
    summary_activation: null,
    summary_first_dropout: 0.1,
    summary_proj_to_labels: true,
    summary_type: "cls_index",
    summary_use_proj: true,
    task_specific_params: { "text-generation": { do_sample: true, max_length: 50 } },
  },
  Pythia: {
    ...sizes,
    model_type: "gpt_neox",
    hidden_act: "gelu",
    layer_norm_eps: 1e-5,
    rotary_emb_base: 10000,
    rotary_pct: 0.25,
    tie_word_embeddings: false,
    use_parallel_residual: true,
  },
  "GPT-NeoX 20B": {
    ...sizes,
    model_type: "gpt_neox",
    attention_probs_dropout_prob: 0,
    hidden_act: "gelu_fast",
    hidden_dropout_prob: 0,
    rotary_emb_base: 10000,
    rotary_pct: 0.25,
  },
  "OPT 350M": {
    ...common,
    model_type: "opt",
    _remove_final_layer_norm: false,
    activation_dropout: 0.0,
    activation_function: "relu",
    attention_dropout: 0.0,
    do_layer_norm_before: false,
    dropout: 0.1,
    ffn_dim: 40,
    hidden_size: 24,
    init_std: 0.02,
    layerdrop: 0.0,
    max_position_embeddings: 64,
    num_attention_heads: 2,
    num_hidden_layers: 2,
    pad_token_id: 1,
    prefix: "</s>",
    word_embed_proj_dim: 16,
  },
};

describe("config.json", () => {
  test.each(Object.entries(PUBLISHED))("of %s is read", (_, config) => {
    expect(createModel(config).architecture).toBe(config.model_type);
  });

  test.each([
    ["Gemma 2B", { use_bidirectional_attention: true }, "use_bidirectional_attention"],
    ["Gemma 2B", { hidden_act: "silu" }, "hidden_act"],
    ["Gemma 2 2B", { attn_logit_softcapping: 0 }, "attn_logit_softcapping"],
    ["Gemma 2 2B", { layer_types: ["full_attention"] }, "6 layer_types"],
    ["Gemma 3 1B", { attn_logit_softcapping: 50 }, "attn_logit_softcapping"],
    ["GPT-2", { add_cross_attention: true }, "add_cross_attention"],
    ["GPT-2", { n_head: 5 }, "5 heads"],
    ["GPT-2", { activation_function: "tanh" }, "activation_function"],
    ["Pythia", { rotary_pct: 0.3 }, "9 of 32"],
    ["Pythia", { rotary_pct: 0.25, rope_parameters: { partial_rotary_factor: 0.5 } }, "0.25 and 0.5"],
    ["OPT 350M", { layer_norm_elementwise_affine: false }, "layer_norm_elementwise_affine"],
  ])("of %s with %j is refused", (name, change, found) => {
    expect(() => createModel({ ...PUBLISHED[name], ...change })).toThrow(refused(found));
  });

  test("of a model that also sees images is refused with what to do", () => {
    const config = { model_type: "gemma3", text_config: { model_type: "gemma3_text" }, vision_config: {} };
    expect(() => createModel(config)).toThrow(refused("text_config", "UNKNOWN_ARCHITECTURE"));
  });
});

test("by default LoRA stands on queries, keys and values, in whatever modules a family has them", () => {
  const asked = TrainingOptions.parse({}).targetModules;
  const fused: Record<string, string> = { gpt2: "c_attn", gpt_neox: "query_key_value", phi3: "qkv_proj" };
  for (const { name, config: sizes } of FAMILIES) {
    const model = createModel(sizes);
    const expected = fused[name] === undefined ? asked : [fused[name]];
    expect(targetsOf(model, asked), name).toEqual(expected);
    const { config, tensors } = newAdapter({ model } as never, TrainingOptions.parse({ loraRank: 2 }));
    expect(config.targetModules, name).toEqual(expected);
    const roles = new Set(["query", "key", "value", "qkv"]);
    const carrying = [...model.linears.keys()].filter((module) => roles.has(model.modules.get(module)?.role ?? ""));
    expect(tensors.size, name).toBe(2 * carrying.length);
  }
  const gpt2 = createModel(tiny("gpt2"));
  expect(targetsOf(gpt2, ["q_proj", "c_proj"])).toEqual(["q_proj", "c_proj"]);
  expect(targetsOf(gpt2, ["c_proj", ...asked])).toEqual(["c_attn", "c_proj"]);
});

test("GPT-2's weights are written as they are read: [in, out] in the file, [out, in] here", () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-gpt2-"));
  const config = tiny("gpt2");
  const model = createModel(config);
  const weights = new Map(Object.entries(randomTensors(model.weights, "float32")));
  writeModel(folder, { config: () => config, tokenizerFiles: () => new Map() }, weights);
  const written = readSafetensors(join(folder, "model.safetensors"));
  expect(written.get("transformer.h.0.attn.c_attn.weight")?.shape).toEqual([16, 48]);
  expect(written.get("transformer.wpe.weight")?.shape).toEqual([64, 16]);
  const read = openFolder(folder).weights;
  for (const [name, weight] of weights) {
    expect(read.shapeOf(name)).toEqual(weight.shape);
    expect(read.load(name)).toEqual(weight);
  }
  rmSync(folder, { recursive: true });
});

const opt = sharedPath("fixtures", "opt");
test.skipIf(opt === undefined)("padding of OPT stands where Hugging Face's model has it", async () => {
  const document = JSON.parse(readFileSync(join(opt ?? "", "expected.json"), "utf8"));
  const { device, model, frozen, adapter, scale } = await new Fixture(opt ?? "", document).model();
  const matrix = (rows: number[][]) => tensor("int32", [rows.length, rows[0]?.length ?? 0], rows.flat());
  const { input_ids, attention_mask, labels } = document.align;
  const batch = { ids: matrix(input_ids), mask: matrix(attention_mask), labels: matrix(labels) };
  const types = { base: typesOf(frozen), factors: typesOf(adapter), batch: paddedTypes("padded") };
  const program = await device.compile(types, (given) => {
    const weights = weightsOf(model, given.base, { scale, tensors: given.factors });
    return { logits: weights.logits(paddedStates(model, weights, given.batch)) };
  });
  const { logits } = await program.run({ base: frozen, factors: adapter, batch });
  expect(relativeError(Array.from(logits.data, Number), document.cases.logits.value.flat(2))).toBeLessThan(1e-5);
});
