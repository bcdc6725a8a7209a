/** GPT-2's and GPT-NeoX's files in llama.cpp's format. */
import type { GgufFile } from "../formats/gguf.ts";
import { PAIR } from "../formats/gguf-writer.ts";
import type { Model } from "./architecture.ts";
import { type GgufDescription, type GgufLayout, requireGranted } from "./gguf.ts";
import { GgufKeys } from "./gguf-keys.ts";
import { ropeOf } from "./gguf-rope.ts";
import { ropeWithoutFactors } from "./gguf-rope-write.ts";
import { type RopeParameters, rotationOf } from "./rope.ts";

/** What both say, by its names in GPT-NeoX's config.json. */
function shared(file: GgufFile, keys: GgufKeys) {
  const vocabulary = file.entries.get("token_embd.weight")?.shape[0];
  if (vocabulary === undefined) throw keys.invalid("block_count", "a file with token_embd.weight", "no such tensor");
  const heads = keys.number("attention.head_count");
  keys.fixed("attention.head_count_kv", heads);
  keys.fixed("attention.causal", true);
  return {
    vocab_size: vocabulary,
    hidden_size: keys.number("embedding_length"),
    intermediate_size: keys.number("feed_forward_length"),
    num_hidden_layers: keys.number("block_count"),
    num_attention_heads: heads,
    max_position_embeddings: keys.number("context_length"),
    layer_norm_eps: keys.number("attention.layer_norm_epsilon"),
    tokens: {
      bos_token_id: file.metadata["tokenizer.ggml.bos_token_id"] ?? null,
      eos_token_id: file.metadata["tokenizer.ggml.eos_token_id"] ?? null,
      pad_token_id: file.metadata["tokenizer.ggml.padding_token_id"] ?? null,
    },
    tie_word_embeddings: !file.entries.has("output.weight"),
  };
}

export const gpt2Gguf: Omit<GgufLayout, "write"> = {
  names: {
    token_embd: "transformer.wte",
    position_embd: "transformer.wpe",
    output_norm: "transformer.ln_f",
    output: "lm_head",
    "blk.*.attn_norm": "transformer.h.*.ln_1",
    "blk.*.attn_qkv": "transformer.h.*.attn.c_attn",
    "blk.*.attn_output": "transformer.h.*.attn.c_proj",
    "blk.*.ffn_norm": "transformer.h.*.ln_2",
    "blk.*.ffn_up": "transformer.h.*.mlp.c_fc",
    "blk.*.ffn_down": "transformer.h.*.mlp.c_proj",
  },
  interleaved: {},
  config(file) {
    const keys = new GgufKeys(file, "gpt2");
    const { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, tokens, ...rest } = shared(
      file,
      keys,
    );
    keys.finish();
    const { vocab_size, max_position_embeddings, layer_norm_eps, tie_word_embeddings } = rest;
    return {
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      activation_function: "gelu_new",
      vocab_size,
      n_positions: max_position_embeddings,
      n_embd: hidden_size,
      n_inner: intermediate_size,
      n_layer: num_hidden_layers,
      n_head: num_attention_heads,
      layer_norm_epsilon: layer_norm_eps,
      tie_word_embeddings,
      ...tokens,
    };
  },
};

export const gptNeoxGguf: Omit<GgufLayout, "write"> = {
  architecture: "gptneox",
  names: {
    token_embd: "gpt_neox.embed_in",
    output_norm: "gpt_neox.final_layer_norm",
    output: "embed_out",
    "blk.*.attn_norm": "gpt_neox.layers.*.input_layernorm",
    "blk.*.attn_qkv": "gpt_neox.layers.*.attention.query_key_value",
    "blk.*.attn_output": "gpt_neox.layers.*.attention.dense",
    "blk.*.ffn_norm": "gpt_neox.layers.*.post_attention_layernorm",
    "blk.*.ffn_up": "gpt_neox.layers.*.mlp.dense_h_to_4h",
    "blk.*.ffn_down": "gpt_neox.layers.*.mlp.dense_4h_to_h",
  },
  interleaved: {},
  together: { query_key_value: "num_attention_heads" },
  config(file) {
    const keys = new GgufKeys(file, "gptneox");
    const { tokens, ...sizes } = shared(file, keys);
    const headDim = sizes.hidden_size / sizes.num_attention_heads;
    const turned = keys.number("rope.dimension_count", headDim);
    const parallel = keys.flag("use_parallel_residual", true);
    const rope = ropeOf(file, keys, turned);
    keys.finish();
    return {
      model_type: "gpt_neox",
      architectures: ["GPTNeoXForCausalLM"],
      // The file does not say which GELU; this is Pythia's, and the family's default.
      hidden_act: "gelu",
      ...sizes,
      ...tokens,
      rotary_pct: turned / headDim,
      rotary_emb_base: rope.rope_theta,
      rope_scaling: rope.rope_scaling,
      attention_bias: file.entries.has("blk.0.attn_qkv.bias"),
      use_parallel_residual: parallel,
    };
  },
};

/** The other way of `shared`. */
function sharedPairs(architecture: string, model: Model, epsilon: number): Uint8Array[] {
  const [, [innerSize] = [0]] = [...model.linears].find(([name]) => /\.(c_fc|dense_h_to_4h)$/.test(name)) ?? [];
  const numbers = {
    block_count: model.layers,
    context_length: model.maxPositions,
    embedding_length: model.hiddenSize,
    feed_forward_length: innerSize,
    "attention.head_count": model.heads,
  };
  return [
    ...Object.entries(numbers).map(([key, value]) => PAIR.u32(`${architecture}.${key}`, value)),
    PAIR.f32(`${architecture}.attention.layer_norm_epsilon`, epsilon),
  ];
}

interface SaidOfGpt2 {
  readonly activation_function: string;
  readonly layer_norm_epsilon: number;
  readonly scale_attn_weights: boolean;
  readonly scale_attn_by_inverse_layer_idx: boolean;
}

/** @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED` */
export function writeGpt2(model: Model, said: SaidOfGpt2): GgufDescription {
  requireGranted("gpt2", {
    "activation_function gelu_new": said.activation_function === "gelu_new",
    "scores scaled by the width of a head": said.scale_attn_weights && !said.scale_attn_by_inverse_layer_idx,
  });
  return { pairs: sharedPairs("gpt2", model, said.layer_norm_epsilon), vectors: {} };
}

interface SaidOfGptNeox {
  readonly hidden_act: string;
  readonly rope_parameters: RopeParameters;
  readonly layer_norm_eps: number;
  readonly attention_bias: boolean;
  readonly use_parallel_residual: boolean;
}

/** @throws {BoosterError} `GGUF_CONFIG_UNSUPPORTED`, `GGUF_ROPE_UNSUPPORTED` */
export function writeGptNeox(model: Model, said: SaidOfGptNeox): GgufDescription {
  requireGranted("gpt_neox", { "hidden_act gelu": said.hidden_act === "gelu", attention_bias: said.attention_bias });
  const headDim = 2 * rotationOf(said.rope_parameters, model).frequencies.length;
  const whole = { ...said.rope_parameters, partial_rotary_factor: 1 };
  const rope = ropeWithoutFactors("gptneox", { ...model, headDim }, { rope_parameters: whole });
  const turned = PAIR.u32("gptneox.rope.dimension_count", headDim);
  const parallel = PAIR.bool("gptneox.use_parallel_residual", said.use_parallel_residual);
  return {
    pairs: [...sharedPairs("gptneox", model, said.layer_norm_eps), ...rope.pairs, turned, parallel],
    vectors: {},
  };
}
