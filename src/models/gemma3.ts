import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { GEMMA_KEYS, gemmaParts, NORMS_AROUND } from "./gemma.ts";
import { gemma3Gguf, writeGemma3 } from "./gemma-gguf.ts";
import { createDecoder, DECODER_KEYS } from "./llama-decoder.ts";
import { llamaLayout } from "./llama-gguf.ts";
import { ropeParameters, rotationOf } from "./rope.ts";
import { layerTypes, windowSize, windowsOf } from "./windows.ts";

const KEYS = {
  name: "gemma3_text",
  used: z.object({
    ...GEMMA_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(4),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(131_072),
    query_pre_attn_scalar: z.number().positive().default(256),
    sliding_window: windowSize.default(4096),
    sliding_window_pattern: z.int().positive().optional(),
    _sliding_window_pattern: z.int().positive().optional(),
    layer_types: layerTypes,
    rope_parameters: z.strictObject({
      full_attention: ropeParameters(1_000_000),
      sliding_attention: ropeParameters(10_000),
    }),
    attn_logit_softcapping: z.null().optional(),
    final_logit_softcapping: z.number().positive().nullish(),
  }),
  ropeByLayer: true,
};

/**
 * Gemma 3, its language model: norms of the heads of queries and keys, five layers with a window and then one without, which turn
 * differently. Source: Hugging Face's `modeling_gemma3.py`.
 */
export const gemma3: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout(KEYS.name, "Gemma3ForCausalLM", {
    ...gemma3Gguf,
    write: (model, raw) => writeGemma3(model, parseConfig(KEYS, raw)),
  }),
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const parts = gemmaParts(config);
    const pattern = config.sliding_window_pattern ?? config._sliding_window_pattern ?? 6;
    const usual = Array.from({ length: parts.layers }, (_, layer) => (layer + 1) % pattern !== 0);
    const sliding = config.layer_types?.map((type) => type === "sliding_attention") ?? usual;
    const { full_attention, sliding_attention } = config.rope_parameters;
    const [whole, local] = [rotationOf(full_attention, parts), rotationOf(sliding_attention, parts)];
    return createDecoder({
      ...parts,
      architecture: KEYS.name,
      norms: NORMS_AROUND,
      headNorm: "each",
      scale: config.query_pre_attn_scalar ** -0.5,
      logitCap: config.final_logit_softcapping ?? undefined,
      rotation: (layer) => (sliding[layer] === true ? local : whole),
      window: windowsOf(config.layer_types, usual, config.sliding_window, parts),
    });
  },
};
