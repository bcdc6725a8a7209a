import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { biasesOf, createDecoder, DECODER_KEYS, sizesOf } from "./llama-decoder.ts";
import { rotationOf } from "./rope.ts";

const KEYS = {
  name: "olmo2",
  used: z.object({
    ...DECODER_KEYS,
    rms_norm_eps: DECODER_KEYS.rms_norm_eps.default(1e-5),
    attention_bias: z.boolean().default(false),
  }),
};

/** OLMo 2: norms after attention and feed-forward half, and of whole queries and keys. Source: Hugging Face's `modeling_olmo2.py`. */
export const olmo2: Architecture = {
  name: KEYS.name,
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const sizes = sizesOf(config);
    const rotation = rotationOf(config.rope_parameters, sizes);
    return createDecoder({
      ...sizes,
      architecture: KEYS.name,
      norms: { afterAttention: "post_attention_layernorm", afterFeedForward: "post_feedforward_layernorm" },
      headNorm: "whole",
      biased: biasesOf(config),
      rotation: () => rotation,
      window: () => undefined,
    });
  },
};
