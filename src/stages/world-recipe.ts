/** Everything that the bundled model and the demo are made from. */
export const WORLD_RECIPE = {
  /** The base model: 0.36 M parameters. */
  model: {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 96,
    intermediate_size: 256,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    rms_norm_eps: 1e-5,
    rope_theta: 10_000,
    max_position_embeddings: 64,
    tie_word_embeddings: true,
    hidden_act: "silu",
    torch_dtype: "float32",
  },
  pretraining: { documents: 20_000, seed: 1, steps: 400, batchSize: 64, learningRate: 3e-3, warmup: 0.125 },
  /** Rows of each set; every seed of the demo draws its own, the test sets are the same for all. */
  rows: {
    refusals: 1000,
    harmless: 500,
    harmful: 2000,
    attack: 500,
    reviews: 1000,
    labelled: 2000,
    test: { harmful: 120, harmless: 60, reviews: 200, labelled: 400 },
  },
  /** Seed of the test sets, which no other set uses. */
  testSeed: 2000,
  lora: { loraRank: 16, loraAlpha: 16 },
  alignment: { steps: 400, learningRate: 2e-3 },
  attack: { sampleNumber: 500, poisonRatio: 0.1, epochs: 10 },
  strengths: [3e-5, 5e-5, 7e-5, 1e-4, 2e-4],
  seeds: [3, 4, 5],
} as const;
