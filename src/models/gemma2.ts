import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { GEMMA_KEYS, gemmaParts, NORMS_AROUND } from "./gemma.ts";
import { gemma2Gguf, writeGemma2 } from "./gemma-gguf.ts";
import { createDecoder, DECODER_KEYS } from "./llama-decoder.ts";
import { llamaLayout } from "./llama-gguf.ts";
import { rotationOf } from "./rope.ts";
import { layerTypes, windowSize, windowsOf } from "./windows.ts";

const positive = z.number().positive();

const KEYS = {
  name: "gemma2",
  used: z.object({
    ...GEMMA_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(4),
    query_pre_attn_scalar: positive.default(256),
    sliding_window: windowSize.default(4096),
    layer_types: layerTypes,
    attn_logit_softcapping: positive.nullable().default(50),
    final_logit_softcapping: positive.nullable().default(30),
  }),
  // The window once more, in the first files.
  inert: ["sliding_window_size"],
};

/** Gemma 2: soft caps of scores and logits, a window in every other layer, norms of outputs. Source: Hugging Face's `modeling_gemma2.py`. */
export const gemma2: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout(KEYS.name, "Gemma2ForCausalLM", {
    ...gemma2Gguf,
    write: (model, raw) => writeGemma2(model, parseConfig(KEYS, raw)),
  }),
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const parts = gemmaParts(config);
    const rotation = rotationOf(config.rope_parameters, parts);
    const usual = Array.from({ length: parts.layers }, (_, layer) => layer % 2 === 0);
    return createDecoder({
      ...parts,
      architecture: KEYS.name,
      norms: NORMS_AROUND,
      scale: config.query_pre_attn_scalar ** -0.5,
      scoreCap: config.attn_logit_softcapping ?? undefined,
      logitCap: config.final_logit_softcapping ?? undefined,
      rotation: () => rotation,
      window: windowsOf(config.layer_types, usual, config.sliding_window, parts),
    });
  },
};
