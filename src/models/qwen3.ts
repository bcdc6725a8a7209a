import { z } from "zod";
import type { Architecture } from "./architecture.ts";
import { biasesOf, DECODER_KEYS, relativeOfLlama } from "./llama-decoder.ts";
import { ggufBiases, HEAD_NORM_NAMES, LLAMA_NAMES, llamaLayout, llamaWrite } from "./llama-gguf.ts";
import { QWEN_WINDOW_KEYS, qwenWindows } from "./windows.ts";

const KEYS = {
  name: "qwen3",
  used: z.object({
    ...DECODER_KEYS,
    ...QWEN_WINDOW_KEYS,
    num_key_value_heads: DECODER_KEYS.num_key_value_heads.default(32),
    head_dim: DECODER_KEYS.head_dim.unwrap().unwrap().default(128),
    max_position_embeddings: DECODER_KEYS.max_position_embeddings.default(32_768),
    attention_bias: z.boolean().default(false),
  }),
};

/** Qwen 3: Llama with a norm of each head of queries and keys. Source: Hugging Face's `modeling_qwen3.py`. */
export const qwen3: Architecture = {
  name: KEYS.name,
  gguf: llamaLayout("qwen3", "Qwen3ForCausalLM", {
    write: llamaWrite("qwen3"),
    names: { ...LLAMA_NAMES, ...HEAD_NORM_NAMES },
    config: (file) => ({ attention_bias: ggufBiases(file).attention_bias }),
  }),
  create: relativeOfLlama(KEYS, (config, sizes) => ({
    headNorm: "each",
    biased: biasesOf(config),
    window: qwenWindows(config, sizes),
  })),
};
