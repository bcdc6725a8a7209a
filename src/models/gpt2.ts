import { z } from "zod";
import { activationName } from "./activation-keys.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { layerCount } from "./config-keys.ts";
import { gptDecoder, headsOf } from "./gpt-decoder.ts";
import { gpt2Gguf, writeGpt2 } from "./gpt-gguf.ts";

const size = z.int().positive();

const keys = {
  name: "gpt2",
  used: z.object({
    vocab_size: size,
    n_positions: size.default(1024),
    n_embd: size,
    n_layer: layerCount,
    n_head: size,
    n_inner: size.nullish(),
    activation_function: activationName.default("gelu_new"),
    layer_norm_epsilon: z.number().positive().default(1e-5),
    scale_attn_weights: z.boolean().default(true),
    scale_attn_by_inverse_layer_idx: z.boolean().default(false),
    tie_word_embeddings: z.boolean().default(true),
  }),
  inert: [
    // The number of positions once more.
    "n_ctx",
    // Of the libraries before Hugging Face's present one, still in the larger GPT-2s.
    "n_special",
    "output_past",
    "predict_special_tokens",
    // Order of a product that is exact either way in float32.
    "reorder_and_upcast_attn",
    // Training here is without dropout.
    "attn_pdrop",
    "embd_pdrop",
    "resid_pdrop",
    // The head of another class.
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
  ],
};

/** GPT-2: learned positions, queries, keys and values in one module. Source: Hugging Face's `modeling_gpt2.py`. */
export const gpt2: Architecture = {
  name: "gpt2",
  gguf: { ...gpt2Gguf, write: (model, raw) => writeGpt2(model, parseConfig(keys, raw)) },
  transposed: ["c_attn", "c_proj", "c_fc"],
  create(raw) {
    const config = parseConfig(keys, raw);
    const { n_embd: hidden, n_head: heads } = config;
    const width = headsOf("gpt2", hidden, heads);
    return gptDecoder({
      architecture: "gpt2",
      names: {
        embedding: "transformer.wte",
        positions: "transformer.wpe",
        block: "transformer.h",
        attentionNorm: "ln_1",
        attention: ["attn.c_attn"],
        output: "attn.c_proj",
        feedForwardNorm: "ln_2",
        up: "mlp.c_fc",
        down: "mlp.c_proj",
        finalNorm: "transformer.ln_f",
        head: config.tie_word_embeddings ? undefined : "lm_head",
      },
      hiddenSize: hidden,
      embeddingSize: hidden,
      innerSize: config.n_inner ?? 4 * hidden,
      layers: config.n_layer,
      heads,
      vocabSize: config.vocab_size,
      maxPositions: config.n_positions,
      epsilon: config.layer_norm_epsilon,
      activation: config.activation_function,
      bias: { attention: true, feedForward: true },
      residual: "before",
      scale: (layer) =>
        (config.scale_attn_weights ? 1 / Math.sqrt(width) : 1) /
        (config.scale_attn_by_inverse_layer_idx ? layer + 1 : 1),
    });
  },
};
