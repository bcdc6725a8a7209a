import { z } from "zod";
import { activationName } from "./activation-keys.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { layerCount } from "./config-keys.ts";
import { gptDecoder, headsOf } from "./gpt-decoder.ts";
import { gptNeoxGguf, writeGptNeox } from "./gpt-gguf.ts";
import { ropeParameters, rotationOf } from "./rope.ts";

const size = z.int().positive();

const keys = {
  name: "gpt_neox",
  used: z.object({
    vocab_size: size,
    hidden_size: size,
    num_hidden_layers: layerCount,
    num_attention_heads: size,
    intermediate_size: size,
    max_position_embeddings: size.default(2048),
    hidden_act: activationName.default("gelu"),
    rope_parameters: ropeParameters(10_000, 0.25),
    layer_norm_eps: z.number().positive().default(1e-5),
    attention_bias: z.boolean().default(true),
    use_parallel_residual: z.boolean().default(true),
    tie_word_embeddings: z.boolean().default(false),
  }),
  // Training here is without dropout.
  inert: ["hidden_dropout", "attention_probs_dropout_prob", "hidden_dropout_prob"],
  ropeNames: { rotary_emb_base: "rope_theta", rotary_pct: "partial_rotary_factor" },
} as const;

/**
 * GPT-NeoX and Pythia: a part of each head is turned, queries, keys and values of a head stand together, and attention and
 * feed-forward part read the same states. Source: Hugging Face's `modeling_gpt_neox.py`.
 */
export const gptNeox: Architecture = {
  name: "gpt_neox",
  gguf: { ...gptNeoxGguf, write: (model, raw) => writeGptNeox(model, parseConfig(keys, raw)) },
  create(raw) {
    const config = parseConfig(keys, raw);
    const { hidden_size: hidden, num_attention_heads: heads, max_position_embeddings: maxPositions } = config;
    const width = headsOf("gpt_neox", hidden, heads);
    return gptDecoder({
      architecture: "gpt_neox",
      names: {
        embedding: "gpt_neox.embed_in",
        block: "gpt_neox.layers",
        attentionNorm: "input_layernorm",
        attention: ["attention.query_key_value"],
        output: "attention.dense",
        feedForwardNorm: "post_attention_layernorm",
        up: "mlp.dense_h_to_4h",
        down: "mlp.dense_4h_to_h",
        finalNorm: "gpt_neox.final_layer_norm",
        head: config.tie_word_embeddings ? undefined : "embed_out",
      },
      hiddenSize: hidden,
      embeddingSize: hidden,
      innerSize: config.intermediate_size,
      layers: config.num_hidden_layers,
      heads,
      vocabSize: config.vocab_size,
      maxPositions,
      epsilon: config.layer_norm_eps,
      activation: config.hidden_act,
      bias: { attention: config.attention_bias, feedForward: true },
      rotation: rotationOf(config.rope_parameters, { headDim: width, maxPositions }),
      residual: config.use_parallel_residual ? "parallel" : "before",
      byHead: true,
      scale: () => 1 / Math.sqrt(width),
    });
  },
};
