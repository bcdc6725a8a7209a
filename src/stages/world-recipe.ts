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
  /** Seeds 1, 2 and 3 make the bundled base models. */
  pretraining: { documents: 60_000, seed: 1, steps: 1000, batchSize: 64, learningRate: 3e-3, warmup: 0.125 },
  /** Rows of each set; every seed of the demo draws its own, those for choosing settings and for the test are the same for all. */
  rows: {
    refusals: 1000,
    harmless: 500,
    harmful: 2000,
    attack: 500,
    reviews: 1000,
    labelled: 2000,
    /** Two questions a hazard and an errand, here and in the test. */
    validation: { harmful: 42, harmless: 42, reviews: 100 },
    test: { harmful: 150, harmless: 150, reviews: 200, labelled: 400 },
  },
  /** Seed of the validation and the test sets, which no other set uses. */
  testSeed: 2000,
  lora: { loraRank: 16, loraAlpha: 16 },
  alignment: { steps: 400, learningRate: 2e-3 },
  attack: { sampleNumber: 500, poisonRatio: 0.1, epochs: 10 },
  /** Learning rates of the attack on q, k and v. */
  strengths: [7e-5, 1e-4, 2e-4],
  seeds: [3, 4, 5],
} as const;
