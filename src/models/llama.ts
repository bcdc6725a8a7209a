import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { biasesOf, createDecoder, DECODER_KEYS, sizesOf } from "./llama-decoder.ts";
import { ggufBiases, INTERLEAVED, llamaLayout, llamaWrite } from "./llama-gguf.ts";
import { NORMS_BEFORE } from "./llama-modules.ts";
import { rotationOf } from "./rope.ts";

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
  create(raw) {
    const config = parseConfig(KEYS, raw);
    const sizes = sizesOf(config);
    const rotation = rotationOf(config.rope_parameters, sizes);
    return createDecoder({
      ...sizes,
      architecture: KEYS.name,
      norms: NORMS_BEFORE,
      biased: biasesOf(config),
      rotation: () => rotation,
      window: () => undefined,
    });
  },
};
