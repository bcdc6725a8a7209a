import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { biasesOf, DECODER_KEYS, relativeOfLlama } from "./llama-decoder.ts";
import { ggufBiases, INTERLEAVED, llamaLayout, llamaWrite } from "./llama-gguf.ts";

const KEYS = {
  name: "llama",
  used: z.object({
    ...DECODER_KEYS,
    attention_bias: z.boolean().default(false),
    mlp_bias: z.boolean().default(false),
    rope_interleaved: z.literal(false).optional(),
  }),
};

/** Llama 1 to 3 and SmolLM2. Source: Hugging Face's `modeling_llama.py`. */
export const llama: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout("llama", "LlamaForCausalLM", {
    interleaved: INTERLEAVED,
    config: ggufBiases,
    write: llamaWrite("llama"),
  }),
  create: relativeOfLlama(KEYS, (config) => ({ biased: biasesOf(config) })),
};
