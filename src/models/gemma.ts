import { z } from "zod";
import { ACTIVATIONS, activationName } from "./activation-keys.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { gemmaGguf, writeGemma } from "./gemma-gguf.ts";
import { createDecoder, DECODER_KEYS, QKV, sizesOf } from "./llama-decoder.ts";
import { llamaLayout } from "./llama-gguf.ts";
import { type BlockNorms, NORMS_BEFORE } from "./llama-modules.ts";
import { rotationOf } from "./rope.ts";

/** Keys of all Gemmas, with their defaults. */
export const GEMMA_KEYS = {
  ...DECODER_KEYS,
  num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(16),
  head_dim: DECODER_KEYS.head_dim.default(256),
  max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(8192),
  tie_word_embeddings: z.boolean().default(true),
  hidden_activation: activationName.nullish(),
  // Where hidden_activation is absent this one names a GELU, and means that with tanh whichever it names.
  hidden_act: z.literal(["gelu", "gelu_pytorch_tanh"]).optional(),
  attention_bias: z.boolean().default(false),
  use_bidirectional_attention: z.literal(false).nullish(),
};

/** Gemma 2's and 3's: the outputs of both halves are normed as well. */
export const NORMS_AROUND: BlockNorms = {
  beforeAttention: "input_layernorm",
  afterAttention: "post_attention_layernorm",
  beforeFeedForward: "pre_feedforward_layernorm",
  afterFeedForward: "post_feedforward_layernorm",
};

const keys = z.object(GEMMA_KEYS);

/** What is the same in all Gemmas: norms' weights count from 1, and the embedding is multiplied by the root of its width. */
export function gemmaParts(config: Omit<z.output<typeof keys>, "rope_parameters">) {
  return {
    ...sizesOf(config),
    activation: ACTIVATIONS[config.hidden_activation ?? "gelu_pytorch_tanh"],
    embeddingScale: Math.sqrt(config.hidden_size),
    normOffset: 1,
    biased: config.attention_bias ? [...QKV, "self_attn.o_proj"] : [],
  };
}

const KEYS = {
  name: "gemma",
  // Versions of Hugging Face's library do not agree on which of the two keys counts in this family.
  used: keys.extend({ hidden_activation: z.literal("gelu_pytorch_tanh").nullish() }),
};

/** Gemma: a gate with GELU, few heads of keys and values, heads wider than their share. Source: Hugging Face's `modeling_gemma.py`. */
export const gemma: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout(KEYS.name, "GemmaForCausalLM", {
    ...gemmaGguf,
    write: (model, raw) => writeGemma(model, parseConfig(KEYS, raw)),
  }),
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const parts = gemmaParts(config);
    const rotation = rotationOf(config.rope_parameters, parts);
    return createDecoder({
      ...parts,
      architecture: KEYS.name,
      norms: NORMS_BEFORE,
      rotation: () => rotation,
      window: () => undefined,
    });
  },
};
