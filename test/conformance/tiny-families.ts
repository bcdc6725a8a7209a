import { ARCHITECTURES } from "../../src/models/index.ts";

/** Sizes under the names that most families have in their config.json. */
const SIZES = {
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 23,
  max_position_embeddings: 64,
};

/** What else, or otherwise, a family is told. */
const OWN: Readonly<Record<string, object>> = {
  qwen3: { head_dim: 4 },
};

export interface TinyFamily {
  readonly name: string;
  readonly config: { readonly model_type: string };
}

/** A model of every row of the table, small enough for every test. */
export const FAMILIES: readonly TinyFamily[] = ARCHITECTURES.map(({ name }) => ({
  name,
  config: { model_type: name, ...SIZES, ...OWN[name] },
}));

const variant = (name: string, model_type: string, own: object): TinyFamily => ({
  name: `${model_type}, ${name}`,
  config: { model_type, ...SIZES, ...OWN[model_type], ...own },
});

/** What a family computes only where its config.json says so. */
export const VARIANTS: readonly TinyFamily[] = [
  variant("biases", "llama", { attention_bias: true, mlp_bias: true, tie_word_embeddings: true }),
  variant("YaRN", "llama", { rope_scaling: { type: "yarn", factor: 4, original_max_position_embeddings: 8 } }),
  variant("window", "mistral", { sliding_window: 3 }),
  variant("a window in one layer", "qwen2", { use_sliding_window: true, sliding_window: 2, max_window_layers: 1 }),
  variant("layers that do not turn, with windows", "smollm3", {
    no_rope_layers: [0, 1],
    use_sliding_window: true,
    sliding_window: 4,
  }),
  variant("a part of each head, otherwise in long rows", "phi3", {
    head_dim: 8,
    partial_rotary_factor: 0.5,
    original_max_position_embeddings: 8,
    rope_scaling: { type: "longrope", short_factor: [1, 2], long_factor: [3, 9] },
    sliding_window: 5,
  }),
];
