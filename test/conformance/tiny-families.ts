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

const { num_key_value_heads: _grouped, ...UNGROUPED } = SIZES;
const { intermediate_size: ffn_dim, ...OPT } = UNGROUPED;
/** Heads of another width than their share. */
const GEMMA = { ...SIZES, head_dim: 6 };

/** Sizes of the families that are told other ones, or under other names. */
const OWN: Readonly<Record<string, object>> = {
  qwen3: { ...SIZES, head_dim: 4 },
  gemma: GEMMA,
  gemma2: {
    ...GEMMA,
    sliding_window: 3,
    query_pre_attn_scalar: 5,
    attn_logit_softcapping: 2,
    final_logit_softcapping: 3,
  },
  gemma3_text: { ...GEMMA, sliding_window: 3, sliding_window_pattern: 2 },
  gpt2: { n_embd: 16, n_inner: 24, n_layer: 2, n_head: 4, vocab_size: 23, n_positions: 64 },
  gpt_neox: { ...UNGROUPED, rotary_pct: 0.5 },
  opt: { ...OPT, ffn_dim },
};
const sizesOf = (family: string): object => OWN[family] ?? SIZES;

export interface TinyFamily {
  readonly name: string;
  readonly config: { readonly model_type: string };
}

/** A model of every row of the table, small enough for every test. */
export const FAMILIES: readonly TinyFamily[] = ARCHITECTURES.map(({ name }) => ({
  name,
  config: { model_type: name, ...sizesOf(name) },
}));

const variant = (name: string, model_type: string, own: object): TinyFamily => ({
  name: `${model_type}, ${name}`,
  config: { model_type, ...sizesOf(model_type), ...own },
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
  variant("biases and a head of its own", "gemma", { attention_bias: true, tie_word_embeddings: false }),
  variant("scores divided by the number of the layer", "gpt2", { scale_attn_by_inverse_layer_idx: true }),
  variant("one half after the other, no biases", "gpt_neox", { use_parallel_residual: false, attention_bias: false }),
  variant("norms behind, an embedding of another width", "opt", {
    do_layer_norm_before: false,
    word_embed_proj_dim: 12,
  }),
];
