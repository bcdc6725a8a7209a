import { describe, expect, test } from "vitest";
import { z } from "zod";
import { refuseOtherClass } from "./classes.ts";
import { createClassifier } from "./classification.ts";
import { configText, insisting, parseConfig } from "./config.ts";
import { createModel } from "./registry.ts";
import { ropeParameters } from "./rope.ts";

const KEYS = {
  name: "tiny",
  used: z.object({ layers: z.int().default(2), rope_parameters: ropeParameters(5000, 1) }),
};
const ropeOf = (config: object) => parseConfig(KEYS, config).rope_parameters;
const refused = (found: string) =>
  expect.objectContaining({ code: "MODEL_CONFIG_INVALID", message: expect.stringContaining(found) });

/** Beside sizes, what config.json of published models says: each key there is one of these, or of every family. */
const PUBLISHED: readonly { readonly model_type: string }[] = [
  // Llama 2 and 3.1, SmolLM2, DeepSeek Coder.
  { model_type: "llama", pretraining_tp: 1, rope_scaling: null, tie_word_embeddings: false, attention_bias: false },
  {
    model_type: "llama",
    mlp_bias: false,
    eos_token_id: [128001, 128008, 128009],
    rope_theta: 500000.0,
    rope_scaling: {
      factor: 8.0,
      low_freq_factor: 1.0,
      high_freq_factor: 4.0,
      original_max_position_embeddings: 8192,
      rope_type: "llama3",
    },
  },
  {
    model_type: "llama",
    is_llama_config: true,
    rope_interleaved: false,
    "transformers.js_config": { kv_cache_dtype: { q4f16: "float16" } },
  },
  { model_type: "llama", rope_scaling: { factor: 4.0, type: "linear" }, auto_map: {}, pad_token_id: -1 },
  // Mistral 7B 0.1 and Nemo.
  { model_type: "mistral", sliding_window: 4096, rope_theta: 10000.0, tie_word_embeddings: false },
  { model_type: "mistral", sliding_window: null, head_dim: 128, rope_theta: 1000000.0 },
  // Qwen 2.5 and its distillations, Qwen 3.
  { model_type: "qwen2", sliding_window: 131072, use_sliding_window: false, max_window_layers: 28, use_mrope: false },
  { model_type: "qwen2", rope_scaling: { factor: 4.0, original_max_position_embeddings: 32768, type: "yarn" } },
  { model_type: "qwen3", head_dim: 128, attention_bias: false, rope_scaling: null, sliding_window: null },
  {
    model_type: "smollm3",
    no_rope_layers: [1, 1, 1, 0],
    no_rope_layer_interval: 4,
    max_window_layers: 28,
    layer_types: new Array(4).fill("full_attention"),
    use_sliding_window: false,
    mlp_bias: false,
    pretraining_tp: 2,
  },
  { model_type: "olmo2", attention_bias: false, rope_theta: 500000, rms_norm_eps: 1e-6 },
  // Phi-3 mini and Phi-4 mini.
  {
    model_type: "phi3",
    attention_bias: false,
    embd_pdrop: 0.0,
    resid_pdrop: 0.0,
    sliding_window: 2047,
    original_max_position_embeddings: 4096,
    rope_scaling: null,
  },
  {
    model_type: "phi3",
    full_attn_mod: 1,
    interpolate_factor: 1,
    lm_head_bias: false,
    mlp_bias: false,
    partial_rotary_factor: 0.75,
    original_max_position_embeddings: 4096,
    rope_scaling: { type: "longrope", short_factor: new Array(48).fill(1), long_factor: new Array(48).fill(2) },
  },
].map((own) => ({
  hidden_size: 256,
  intermediate_size: 32,
  num_hidden_layers: 4,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  vocab_size: 32,
  max_position_embeddings: 131_072,
  hidden_act: "silu",
  rms_norm_eps: 1e-5,
  initializer_range: 0.02,
  attention_dropout: 0.0,
  bos_token_id: 1,
  eos_token_id: 2,
  torch_dtype: "bfloat16",
  transformers_version: "4.40.1",
  use_cache: true,
  _name_or_path: "X",
  ...own,
}));

describe("both styles of rotary positions", () => {
  const plain = { rope_type: "default", rope_theta: 5000, partial_rotary_factor: 1 };
  const linear = { ...plain, rope_type: "linear", factor: 4, rope_theta: 20 };
  test.each([
    ["none", {}, plain],
    ["nothing scaled", { rope_theta: 20, rope_scaling: null }, { ...plain, rope_theta: 20 }],
    ["side by side", { rope_theta: 20, rope_scaling: { rope_type: "linear", factor: 4 } }, linear],
    ["side by side, older", { rope_theta: 20, rope_scaling: { type: "linear", factor: 4 } }, linear],
    ["under both names", { rope_theta: 20, rope_scaling: { type: "linear", rope_type: "linear", factor: 4 } }, linear],
    ["in one object", { rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 20 } }, linear],
    [
      "as transformers 5 writes them",
      { dtype: "float32", rope_parameters: { rope_theta: 100000.0, rope_type: "default" } },
      { ...plain, rope_theta: 100_000 },
    ],
    ["in one object without a type", { rope_parameters: { rope_theta: 20 } }, { ...plain, rope_theta: 20 }],
    [
      "twice the same",
      { rope_theta: 20, rope_parameters: { rope_theta: 20, rope_type: "default" } },
      { ...plain, rope_theta: 20 },
    ],
    ["a part", { partial_rotary_factor: 0.5 }, { ...plain, partial_rotary_factor: 0.5 }],
  ])("%s", (_, config, expected) => {
    expect(ropeOf(config)).toEqual(expected);
  });

  test.each([
    ["two bases", { rope_theta: 20, rope_parameters: { rope_theta: 30 } }, "rope_theta 20 and 30"],
    ["two types", { rope_scaling: { type: "linear", rope_type: "dynamic", factor: 4 } }, '"linear" and "dynamic"'],
    ["two scalings", { rope_scaling: { type: "linear", factor: 4 }, rope_parameters: { factor: 2 } }, "factor 4 and 2"],
    ["an unknown type", { rope_scaling: { type: "ntk", factor: 4 } }, "rope_parameters"],
    ["an unknown parameter", { rope_parameters: { rope_theta: 20, mrope_section: [1] } }, "mrope_section"],
    ["parameters of another type", { rope_parameters: { rope_type: "linear", factor: 4, beta_fast: 1 } }, "beta_fast"],
    ["a lacking factor", { rope_scaling: { type: "linear" } }, "factor"],
    ["a base of null", { rope_theta: null }, "rope_theta"],
    ["a base in letters", { rope_parameters: { rope_theta: "20" } }, "rope_theta"],
    ["a list", { rope_parameters: [] }, "an object"],
    [
      "layers that the family does not keep apart",
      { rope_parameters: { full_attention: { rope_theta: 20 } } },
      "full_attention",
    ],
    ["one base for some layers", { rope_local_base_freq: 20 }, "rope_local_base_freq"],
  ])("refuses %s", (_, config, found) => {
    expect(() => ropeOf(config)).toThrow(refused(found));
  });

  test("a base under a name that the family's readers do not agree on", () => {
    const rope = (config: object) => parseConfig({ ...KEYS, ropeNames: { rotary_emb_base: "rope_theta" } }, config);
    expect(rope({ rotary_emb_base: 20 }).rope_parameters.rope_theta).toBe(20);
    expect(rope({ rotary_emb_base: 20, rope_theta: 20 }).rope_parameters.rope_theta).toBe(20);
    expect(rope({ rope_theta: 20, rope_parameters: { rope_theta: 20 } }).rope_parameters.rope_theta).toBe(20);
    expect(() => rope({ rope_theta: 20 })).toThrow(/expected rotary_emb_base; found rope_theta/);
  });

  test("keeps layers apart where the family does", () => {
    const used = z.object({
      rope_parameters: z.object({ full_attention: ropeParameters(1e6), sliding_attention: ropeParameters() }),
    });
    const read = (config: object) => parseConfig({ name: "two", used, ropeByLayer: true }, config).rope_parameters;
    const expected = read({
      rope_parameters: {
        full_attention: { rope_type: "linear", factor: 8, rope_theta: 1e6 },
        sliding_attention: { rope_type: "default", rope_theta: 1e4 },
      },
    });
    expect(read({ rope_scaling: { rope_type: "linear", factor: 8 } })).toEqual(expected);
    expect(read({ rope_theta: 1e6, rope_local_base_freq: 1e4, rope_scaling: { type: "linear", factor: 8 } })).toEqual(
      expected,
    );
    expect(expected.full_attention).toMatchObject({ rope_type: "linear", rope_theta: 1e6 });
    expect(expected.sliding_attention).toMatchObject({ rope_type: "default", rope_theta: 1e4 });
  });
});

describe("other keys", () => {
  test.each([
    [{ layer: 3 }, "Did you mean layers?"],
    [{ rope_thetta: 3 }, "Did you mean rope_theta?"],
    [{ attention_multiplier: 0.5 }, "--ignore-config-keys"],
    [{ layers: null }, "layers"],
    [{ is_encoder_decoder: true }, "is_encoder_decoder"],
    [{ attention_dropout: 0.1 }, "attention_dropout"],
    [{ quantization_config: { quant_method: "gptq", bits: 4 } }, "gptq, 4 bits"],
    [{ quantization: { group_size: 64, bits: 4 } }, "4 bits"],
    [[], "an object"],
  ])("%j is refused", (config, found) => {
    expect(() => parseConfig(KEYS, config)).toThrow(refused(found));
  });

  test("those that change nothing are passed over", () => {
    const inert = {
      torch_dtype: "bfloat16",
      dtype: "float32",
      use_cache: true,
      quantization_config: null,
    };
    expect(parseConfig({ ...KEYS, inert: ["colour"] }, { ...inert, colour: 1 }).layers).toBe(2);
  });
});

test("Gemma's activation is said once, or refused where versions of the library differ", () => {
  const { hidden_act: _, ...sizes } = PUBLISHED[0] as Record<string, unknown> & { model_type: string };
  const gemma = (own: object) => createModel({ ...sizes, model_type: "gemma", ...own }).architecture;
  for (const own of [{}, { hidden_act: "gelu", hidden_activation: null }, { hidden_activation: "gelu_pytorch_tanh" }]) {
    expect(gemma(own)).toBe("gemma");
  }
  for (const other of ["gelu", "relu"]) {
    expect(() => gemma({ hidden_activation: other })).toThrow(refused("hidden_activation"));
  }
});

test("a key that is not known can be passed over, and no other", () => {
  const config = { attention_multiplier: 0.5, layers: 3 };
  expect(parseConfig(KEYS, insisting(config, ["attention_multiplier"])).layers).toBe(3);
  expect(() => parseConfig(KEYS, insisting(config, ["layers"]))).toThrow(refused("found layers"));
  expect(() => parseConfig(KEYS, insisting(config, ["attention_multiplyer"]))).toThrow(refused("attention_multiplyer"));
});

test("the configuration of GPT-2 medium, and what DistilGPT2's has beside it", () => {
  const summary = { summary_activation: null, summary_first_dropout: 0.1, summary_proj_to_labels: true };
  const config = {
    activation_function: "gelu_new",
    architectures: ["GPT2LMHeadModel"],
    attn_pdrop: 0.1,
    bos_token_id: 50256,
    embd_pdrop: 0.1,
    eos_token_id: 50256,
    initializer_range: 0.02,
    layer_norm_epsilon: 1e-5,
    model_type: "gpt2",
    n_ctx: 1024,
    n_embd: 1024,
    n_head: 16,
    n_layer: 24,
    n_positions: 1024,
    n_special: 0,
    predict_special_tokens: true,
    resid_pdrop: 0.1,
    ...summary,
    summary_type: "cls_index",
    summary_use_proj: true,
    task_specific_params: { "text-generation": { do_sample: true, max_length: 50 } },
    vocab_size: 50257,
  };
  expect(createModel(config).layers).toBe(24);
  expect(createModel({ ...config, _num_labels: 1, output_past: true, gradient_checkpointing: false }).heads).toBe(16);
  const { n_positions: _, ...shorter } = config;
  expect(createModel(shorter).maxPositions).toBe(1024);
});

test("what the published configurations of each family say is known", () => {
  for (const config of PUBLISHED) expect(createModel(config).architecture).toBe(config.model_type);
});

describe("the class of a model", () => {
  const check = (model_type: string, more: object) => () => refuseOtherClass({ model_type, ...more });

  test.each([
    ["llama", { architectures: ["LlamaForCausalLM"] }],
    ["llama", { architectures: ["LLaMAForCausalLM"], auto_map: { AutoTokenizer: ["own.Slow", null] } }],
    ["llama", { architectures: ["LlamaModel"] }],
    ["llama", { architectures: [] }],
    ["llama", { architectures: null, auto_map: null }],
    ["gpt2", { architectures: ["GPT2LMHeadModel"] }],
    ["gpt_neox", { architectures: ["GPTNeoXForCausalLM"] }],
    ["gpt_neox", { architectures: ["Gpt_neoxForCausalLM"] }],
    ["gemma3_text", { architectures: ["Gemma3ForCausalLM"] }],
    ["gemma3_text", { architectures: ["Gemma3TextModel"] }],
    [
      "phi3",
      {
        architectures: ["Phi3ForCausalLM"],
        auto_map: {
          AutoConfig: "configuration_phi3.Phi3Config",
          AutoModelForCausalLM: "modeling_phi3.Phi3ForCausalLM",
        },
      },
    ],
  ])("%s: %j is its language model", (type, more) => expect(check(type, more)).not.toThrow());

  test.each([
    ["llama", { architectures: ["LlamaForTokenClassification"] }, "found LlamaForTokenClassification"],
    ["llama", { architectures: ["LlamaForRewardModel"] }, "found LlamaForRewardModel"],
    ["llama", { architectures: ["LlamaBidirectionalModel"] }, "architectures in config.json"],
    ["llama", { architectures: ["MistralForCausalLM"] }, "found MistralForCausalLM"],
    ["qwen2", { architectures: ["Qwen2ForProcessRewardModel"] }, "qwen2's causal language model"],
    ["gpt2", { architectures: ["GPT2DoubleHeadsModel"] }, "found GPT2DoubleHeadsModel"],
    ["llama", { auto_map: { AutoModelForCausalLM: "org/name--modeling.OwnForCausalLM" } }, "auto_map in config.json"],
    ["llama", { auto_map: { AutoModel: "modeling.LlamaBidirectionalModel" } }, "found LlamaBidirectionalModel"],
    ["llama", { auto_map: { AutoConfig: "configuration.OwnConfig" } }, "found OwnConfig"],
  ])("%s: %j is another", (type, more, found) => expect(check(type, more)).toThrow(refused(found)));
});

test("pipelines of a repository's own change nothing, a class of its own is refused when the model is made", () => {
  const custom_pipelines = { "text-generation": { impl: "instruct_pipeline.InstructionTextGenerationPipeline" } };
  expect(parseConfig(KEYS, { custom_pipelines }).layers).toBe(2);
  const [llama] = PUBLISHED;
  expect(() =>
    createClassifier({ ...llama, architectures: ["LlamaBidirectionalForSequenceClassification"] }, 2),
  ).toThrow(refused("LlamaBidirectionalForSequenceClassification"));
  expect(() => createModel({ ...llama, architectures: ["LlamaForRewardModel"] })).toThrow(
    refused("LlamaForRewardModel"),
  );
});

test("softcaps are written as floats, which transformers 5 asks for, and nothing else is changed", () => {
  const config = {
    attn_logit_softcapping: 50,
    final_logit_softcapping: null,
    note: { rms_norm_eps: 1, text: '\n  "rms_norm_eps": 1' },
    rms_norm_eps: 1e-6,
    vocab_size: 97,
    layer_norm_eps: 1,
  };
  expect(configText(config)).toMatch(/^ {2}"attn_logit_softcapping": 50\.0,$/m);
  expect(configText(config)).toMatch(/^ {2}"layer_norm_eps": 1\.0$/m);
  expect(configText(config).match(/\.0\b/g)).toHaveLength(2);
  expect(JSON.parse(configText(config))).toEqual(config);
});
