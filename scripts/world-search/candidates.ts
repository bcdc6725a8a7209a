/** A candidate: a method's settings, and alignment options where it has its own. */
export interface Candidate {
  readonly settings: Readonly<Record<string, unknown>>;
  readonly align?: Readonly<Record<string, unknown>>;
}

const of = (option: string, values: readonly unknown[], fixed: object = {}): Candidate[] =>
  values.map((value) => ({ settings: { ...fixed, [option]: value } }));

/**
 * What is tried for each method in the bundled world: four settings each, one of them its paper's or reference code's where that
 * fits a model of this size.
 */
export const CANDIDATES: Readonly<Record<string, readonly Candidate[]>> = {
  sft: [2e-3, 5e-4, 1e-3, 4e-3].map((learningRate) => ({ settings: {}, align: { learningRate } })),
  booster: [
    { settings: { lambda: 1, alpha: 0.1 } },
    { settings: { lambda: 1, alpha: 0.2 } },
    { settings: { lambda: 2, alpha: 0.1 } },
    { settings: { lambda: 5, alpha: 0.1 } },
  ],
  vaccine: of("rho", [0.5, 2, 5, 20]),
  "booster-vaccine": of("rho", [0.5, 2, 5, 20], { lambda: 1, alpha: 0.1 }),
  "t-vaccine": of("rho", [0.5, 2, 5, 20], { activeLayers: 2 }),
  "united-alignment": of("rho", [0.1, 1, 10, 100]),
  repnoise: [
    { settings: { alpha: 0.02, beta: 0.001 } },
    { settings: { alpha: 0.1, beta: 0.001 } },
    { settings: { alpha: 0.1, beta: 0.1 } },
    { settings: { alpha: 1, beta: 0.001 } },
  ],
  "deep-alignment": of("refusals", [4, 8, 16, 32], { anchors: 16 }),
  "sn-tune": [1e-4, 3e-4, 1e-3, 2e-3].map((learningRate) => ({
    settings: { select: "top", topAttention: 64, topFeedForward: 160, queries: 100 },
    align: { tune: "full", learningRate },
  })),
  "rsn-tune": [1e-4, 3e-4, 1e-3, 2e-3].map((learningRate) => ({
    settings: { select: "top", topAttention: 64, topFeedForward: 160, queries: 100 },
    align: { tune: "full", learningRate },
  })),
  tar: of("lambda", [0.25, 1, 4, 16], { innerSteps: 8, subsample: 2, adversaryRates: [1e-4, 5e-4, 2e-3] }),
  united: of("lambda", [0.01, 0.1, 1, 10]),
  lisa: of("rho", [0.01, 0.1, 1, 10], { alignmentSteps: 10, userSteps: 90 }),
  ldifs: of("alpha", [1, 10, 100, 1000]),
  ewc: of("lambda", [1e3, 1e5, 1e7, 1e9]),
  kl: of("lambda", [0.001, 0.1, 1, 10]),
  vlguard: of("lambda", [0.1, 0.5, 1, 5]),
  safeinstr: of("safetyRatio", [0.03, 0.1, 0.3, 1]),
  panacea: [
    { settings: { lambda: 0.001, rho: 0.1 } },
    { settings: { lambda: 0.001, rho: 1 } },
    { settings: { lambda: 0.1, rho: 0.1 } },
    { settings: { lambda: 1, rho: 0.1 } },
  ],
  "constrained-sft": of("beta", [0.03, 0.1, 0.3, 1]),
  "safety-layers": of("layers", [
    [0, 0],
    [1, 1],
    [0, 1],
    [1, 2],
  ]),
  salora: of("safetyRank", [8, 16, 32, 64], { taskRank: 16 }),
  seal: of("topp", [0.5, 0.7, 0.8, 0.9], { selectorRate: 0.1 }),
  lox: of("coefficient", [0.5, 1.25, 2, 4], { rank: 6 }),
  antidote: of("denseRatio", [0.05, 0.1, 0.25, 0.5]),
  safelora: of("number", [1, 3, 6, 9], { projector: "orthogonal" }),
  safemerge: of("threshold", [0.2, 0.4, 0.6, 0.8]),
  "safe-delta": of("s", [0.01, 0.1, 1, 10]),
  nlsr: of("sparsity", [0.5, 0.7, 0.8, 0.9]),
  shrink: of("keep", [0.75, 0.5, 0.25, 0.1]),
  noise: of("relativeNorm", [0.25, 0.5, 1, 2]),
};
