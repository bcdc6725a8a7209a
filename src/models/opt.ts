import { z } from "zod";
import { activationName } from "./activation-keys.ts";
import type { Architecture } from "./architecture.ts";
import { parseConfig } from "./config.ts";
import { layerCount } from "./config-keys.ts";
import { gptDecoder, headsOf } from "./gpt-decoder.ts";

const size = z.int().positive();

const keys = {
  name: "opt",
  used: z.object({
    vocab_size: size,
    hidden_size: size,
    num_hidden_layers: layerCount,
    num_attention_heads: size,
    ffn_dim: size,
    max_position_embeddings: size.default(2048),
    word_embed_proj_dim: size.nullish(),
    activation_function: activationName.default("relu"),
    do_layer_norm_before: z.boolean().default(true),
    _remove_final_layer_norm: z.boolean().default(false),
    enable_bias: z.boolean().default(true),
    layer_norm_elementwise_affine: z.literal(true).default(true),
    tie_word_embeddings: z.boolean().default(true),
  }),
  // Training here is without dropout.
  inert: ["activation_dropout", "dropout", "layerdrop", "init_std"],
};

/** Positions begin behind two rows that nothing stands at. */
const OFFSET = 2;

/** OPT: learned positions, LayerNorm before or after, in its 350M an embedding of another width. Source: Hugging Face's `modeling_opt.py`. */
export const opt: Architecture = {
  name: "opt",
  create(raw) {
    const config = parseConfig(keys, raw);
    const { hidden_size: hidden, num_attention_heads: heads, enable_bias: bias } = config;
    const width = headsOf("opt", hidden, heads);
    const embeddingSize = config.word_embed_proj_dim ?? hidden;
    const before = config.do_layer_norm_before;
    return gptDecoder({
      architecture: "opt",
      names: {
        embedding: "model.decoder.embed_tokens",
        positions: "model.decoder.embed_positions",
        block: "model.decoder.layers",
        attentionNorm: "self_attn_layer_norm",
        attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        output: "self_attn.out_proj",
        feedForwardNorm: "final_layer_norm",
        up: "fc1",
        down: "fc2",
        finalNorm: before && !config._remove_final_layer_norm ? "model.decoder.final_layer_norm" : undefined,
        resize: embeddingSize === hidden ? undefined : ["model.decoder.project_in", "model.decoder.project_out"],
        head: config.tie_word_embeddings ? undefined : "lm_head",
      },
      hiddenSize: hidden,
      embeddingSize,
      innerSize: config.ffn_dim,
      layers: config.num_hidden_layers,
      heads,
      vocabSize: config.vocab_size,
      maxPositions: config.max_position_embeddings,
      epsilon: 1e-5,
      activation: config.activation_function,
      bias: { attention: bias, feedForward: bias },
      offset: OFFSET,
      // Tokens are counted by the attention mask, from 0, and padding is before the first.
      paddingPosition: -1,
      residual: before ? "before" : "after",
      scale: () => 1 / Math.sqrt(width),
    });
  },
};
