/** A method in the bundled world. */
export interface WorldMethod {
  readonly label?: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Alignment options that it has for itself. */
  readonly align?: Readonly<Record<string, unknown>>;
}

/** Neurons that safety hangs on, in a model of this size. */
const NEURONS = { select: "top", topAttention: 64, topFeedForward: 160, queries: 100 };

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
    test: { harmful: 120, harmless: 60, reviews: 200 },
  },
  /** Seed of the test sets, which no other set uses. */
  testSeed: 2000,
  lora: { loraRank: 16, loraAlpha: 16 },
  alignment: { steps: 400, learningRate: 2e-3 },
  attack: { sampleNumber: 500, poisonRatio: 0.1, epochs: 10 },
  /** How methods are called in the report, and their settings in this world, found by the search of docs/results/world-search.md. */
  methods: {
    sft: { label: "SFT" },
    booster: { label: "Booster", settings: { lambda: 1, alpha: 0.1 } },
    vaccine: { label: "Vaccine", settings: { rho: 0.5 } },
    "booster-vaccine": { label: "Booster + Vaccine", settings: { lambda: 1, alpha: 0.1, rho: 0.5 } },
    "t-vaccine": { label: "T-Vaccine", settings: { activeLayers: 2, rho: 0.5 } },
    repnoise: { label: "RepNoise", settings: { alpha: 0.02, beta: 0.001 } },
    tar: {
      label: "TAR",
      settings: { innerSteps: 8, subsample: 2, adversaryRates: [1e-4, 5e-4, 2e-3], lambda: 16 },
    },
    "deep-alignment": { label: "Deep alignment", settings: { refusals: 4, anchors: 16 } },
    "united-alignment": { label: "United alignment", settings: { rho: 0.1 } },
    "sn-tune": { label: "SN-Tune", settings: NEURONS, align: { tune: "full", learningRate: 1e-4 } },
    "rsn-tune": { label: "RSN-Tune", settings: NEURONS, align: { tune: "full", learningRate: 1e-4 } },
    united: { label: "United", settings: { lambda: 1 } },
    lisa: { label: "Lisa", settings: { alignmentSteps: 10, userSteps: 90, rho: 1 } },
    ldifs: { label: "LDIFS", settings: { alpha: 1 } },
    ewc: { label: "EWC", settings: { lambda: 1e3 } },
    kl: { label: "KL", settings: { lambda: 0.1 } },
    vlguard: { label: "VLGuard", settings: { lambda: 5 } },
    safeinstr: { label: "SafeInstr", settings: { safetyRatio: 1 } },
    panacea: { label: "Panacea", settings: { lambda: 0.001, rho: 1 } },
    "constrained-sft": { label: "Constrained SFT", settings: { beta: 0.03 } },
    "safety-layers": { label: "Safety layers", settings: { layers: [1, 2] } },
    salora: { label: "SaLoRA", settings: { taskRank: 16, safetyRank: 8 } },
    seal: { label: "SEAL", settings: { selectorRate: 0.1, topp: 0.5 } },
    lox: { label: "LoX", settings: { rank: 6, coefficient: 0.5 } },
    antidote: { label: "Antidote", settings: { denseRatio: 0.05 } },
    safelora: { label: "SafeLoRA", settings: { projector: "orthogonal", number: 6 } },
    safemerge: { label: "SafeMERGE", settings: { threshold: 0.4 } },
    "safe-delta": { label: "Safe Delta", settings: { s: 0.01 } },
    nlsr: { label: "NLSR", settings: { sparsity: 0.9 } },
    shrink: { label: "Change scaled down", settings: { keep: 0.75 } },
    noise: { label: "Noise", settings: { relativeNorm: 0.25 } },
  } as Readonly<Record<string, WorldMethod>>,
  strengths: [3e-5, 5e-5, 7e-5, 1e-4, 2e-4],
  seeds: [3, 4, 5],
} as const;
