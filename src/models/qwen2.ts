import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { DECODER_KEYS, QKV, relativeOfLlama } from "./llama-decoder.ts";
import { llamaLayout, llamaWrite } from "./llama-gguf.ts";
import { QWEN_WINDOW_KEYS, qwenWindows } from "./windows.ts";

const KEYS = {
  name: "qwen2",
  used: z.object({
    ...DECODER_KEYS,
    ...QWEN_WINDOW_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(32),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(32_768),
    use_mrope: z.literal(false).optional(),
  }),
  // Biases are the family's, whatever is said.
  inert: ["attention_bias", "mlp_bias"],
};

/** Qwen 2 and 2.5: Llama with biases on queries, keys and values, windows in some layers. Source: Hugging Face's `modeling_qwen2.py`. */
export const qwen2: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout("qwen2", "Qwen2ForCausalLM", { write: llamaWrite("qwen2") }),
  create: relativeOfLlama(KEYS, (config, sizes) => ({ biased: QKV, window: qwenWindows(config, sizes) })),
};
