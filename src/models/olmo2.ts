import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { biasesOf, DECODER_KEYS, relativeOfLlama } from "./llama-decoder.ts";
import { ggufBiases, HEAD_NORM_NAMES, LLAMA_NAMES, llamaLayout, llamaWrite } from "./llama-gguf.ts";

const KEYS = {
  name: "olmo2",
  used: z.object({
    ...DECODER_KEYS,
    rms_norm_eps: DECODER_KEYS.rms_norm_eps.default(1e-5),
    attention_bias: z.boolean().default(false),
  }),
};

const {
  "blk.*.attn_norm": _beforeAttention,
  "blk.*.ffn_norm": _beforeFeedForward,
  ...OLMO2_NAMES
} = {
  ...LLAMA_NAMES,
  ...HEAD_NORM_NAMES,
  "blk.*.post_attention_norm": "model.layers.*.post_attention_layernorm",
  "blk.*.post_ffw_norm": "model.layers.*.post_feedforward_layernorm",
};

/** OLMo 2: norms after attention and feed-forward half, and of whole queries and keys. Source: Hugging Face's `modeling_olmo2.py`. */
export const olmo2: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout("olmo2", "Olmo2ForCausalLM", {
    names: OLMO2_NAMES,
    write: llamaWrite("olmo2", 1e-5),
    config: (file) => ({ attention_bias: ggufBiases(file).attention_bias }),
  }),
  create: relativeOfLlama(KEYS, (config) => ({
    norms: { afterAttention: "post_attention_layernorm", afterFeedForward: "post_feedforward_layernorm" },
    headNorm: "whole",
    biased: biasesOf(config),
  })),
};
