/** Gemma's files in llama.cpp's format: weights of norms count from 0, and some numbers stand in its code alone. */
import type { GgufFile } from "../formats/gguf.ts";
import type { GgufLayout } from "./gguf.ts";
import type { GgufKeys } from "./gguf-keys.ts";
import { HEAD_NORM_NAMES, LLAMA_NAMES, llamaLayout } from "./llama-gguf.ts";

const GELU = { hidden_act: "gelu_pytorch_tanh", hidden_activation: "gelu_pytorch_tanh" };

const NAMES_AROUND = {
  ...LLAMA_NAMES,
  "blk.*.post_attention_norm": "model.layers.*.post_attention_layernorm",
  "blk.*.ffn_norm": "model.layers.*.pre_feedforward_layernorm",
  "blk.*.post_ffw_norm": "model.layers.*.post_feedforward_layernorm",
};

/** What scores are scaled by: as llama.cpp has it, the share of a head in the largest model, the width of a head in the others. */
const scalar = (keys: GgufKeys, headDim: number, largest: number): number =>
  keys.number("block_count") === largest
    ? keys.number("embedding_length") / keys.number("attention.head_count")
    : headDim;

export const gemmaGguf: GgufLayout = llamaLayout("gemma", "GemmaForCausalLM", {
  write: undefined,
  normOffset: 1,
  config: () => GELU,
});

export const gemma2Gguf: GgufLayout = llamaLayout("gemma2", "Gemma2ForCausalLM", {
  write: undefined,
  names: NAMES_AROUND,
  normOffset: 1,
  config: (_, keys, headDim) => ({
    ...GELU,
    query_pre_attn_scalar: scalar(keys, headDim, 46),
    sliding_window: keys.number("attention.sliding_window", 4096),
    attn_logit_softcapping: keys.number("attn_logit_softcapping", 50),
    final_logit_softcapping: keys.number("final_logit_softcapping", 30),
  }),
});

export const gemma3Gguf: GgufLayout = llamaLayout("gemma3_text", "Gemma3ForCausalLM", {
  write: undefined,
  architecture: "gemma3",
  names: { ...NAMES_AROUND, ...HEAD_NORM_NAMES },
  normOffset: 1,
  config: (_file: GgufFile, keys, headDim) => ({
    ...GELU,
    query_pre_attn_scalar: scalar(keys, headDim, 62),
    sliding_window: keys.number("attention.sliding_window"),
    sliding_window_pattern: keys.number("attention.sliding_window_pattern", 6),
    rope_local_base_freq: keys.number("rope.freq_base_swa", 10_000),
    final_logit_softcapping: keys.optional("final_logit_softcapping") ?? null,
  }),
});
