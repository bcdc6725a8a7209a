import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { DECODER_KEYS, relativeOfLlama } from "./llama-decoder.ts";
import { INTERLEAVED, llamaLayout, llamaWrite } from "./llama-gguf.ts";
import { allSliding, windowSize, windowsOf } from "./windows.ts";

const KEYS = {
  name: "mistral",
  used: z.object({
    ...DECODER_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(8),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(131_072),
    sliding_window: windowSize.default(4096),
    attention_bias: z.literal(false).optional(),
    mlp_bias: z.literal(false).optional(),
  }),
};

/** Mistral: Llama with a window in every layer. Source: Hugging Face's `modeling_mistral.py`. */
export const mistral: Architecture = {
  name: KEYS.name,
  // llama.cpp takes it for Llama, without its windows; files are read as Llama's.
  gguf: llamaLayout("mistral", "MistralForCausalLM", {
    architecture: "llama",
    interleaved: INTERLEAVED,
    write: llamaWrite("llama"),
  }),
  create: relativeOfLlama(KEYS, ({ sliding_window }, sizes) => ({
    window: windowsOf(undefined, allSliding(sizes, sliding_window), sliding_window, sizes),
  })),
};
