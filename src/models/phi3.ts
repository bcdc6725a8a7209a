import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { createDecoder, DECODER_KEYS, sizesOf } from "./llama-decoder.ts";
import { llamaLayout } from "./llama-gguf.ts";
import { NORMS_BEFORE } from "./llama-modules.ts";
import { phi3Gguf, writePhi3 } from "./phi3-gguf.ts";
import { ropeParameters, rotationOf } from "./rope.ts";
import { allSliding, windowSize, windowsOf } from "./windows.ts";

const KEYS = {
  name: "phi3",
  used: z.object({
    ...DECODER_KEYS,
    rms_norm_eps: DECODER_KEYS.rms_norm_eps.default(1e-5),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(4096),
    original_max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(4096),
    rope_parameters: ropeParameters(10_000, 1, ["default", "longrope"]),
    sliding_window: windowSize.default(null),
    embd_pdrop: z.literal(0).optional(),
    resid_pdrop: z.literal(0).optional(),
    attention_bias: z.literal(false).optional(),
    mlp_bias: z.literal(false).optional(),
    lm_head_bias: z.literal(false).optional(),
    full_attn_mod: z.literal(1).optional(),
    interpolate_factor: z.literal(1).optional(),
  }),
};

/**
 * Phi-3, 3.5 and 4: Llama with queries, keys and values in one module, gate and up in another, and a window in every layer.
 * Source: Hugging Face's `modeling_phi3.py`.
 */
export const phi3: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout(KEYS.name, "Phi3ForCausalLM", {
    ...phi3Gguf,
    write: (model, raw) => writePhi3(model, parseConfig(KEYS, raw)),
  }),
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const sizes = sizesOf(config);
    const context = config.original_max_position_embeddings;
    const rope = { original_max_position_embeddings: context, ...config.rope_parameters };
    if (rope.original_max_position_embeddings !== context) {
      throw new BoosterError("MODEL_CONFIG_INVALID", "the configuration says two things about the original length", {
        found: `original_max_position_embeddings ${context} and ${rope.original_max_position_embeddings}`,
        where: "config.json",
      });
    }
    const rotation = rotationOf(rope, sizes);
    return createDecoder({
      ...sizes,
      architecture: KEYS.name,
      norms: NORMS_BEFORE,
      fused: true,
      rotation: () => rotation,
      window: windowsOf(undefined, allSliding(sizes, config.sliding_window), config.sliding_window, sizes),
    });
  },
};
