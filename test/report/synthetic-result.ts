import { type ExperimentResult, parseResult } from "../../src/report/index.ts";
import type { ExperimentResultInput } from "../../src/report/result.ts";
import { RandomStream } from "../../src/tensor/random.ts";

const PROMPTS = 100;
const STEPS = 500;

/** Where each made-up method gives way: the attack's push at which its HS is one half. */
const METHODS = [
  { id: "sft", name: "SFT", holds: 0.8, learns: 88, passes: 1, seconds: 62 },
  { id: "booster", name: "Booster", holds: 3.4, learns: 86, passes: 3, seconds: 171 },
  { id: "vaccine", name: "Vaccine", holds: 1.5, learns: 83, passes: 2, seconds: 118 },
  { id: "repnoise", name: "RepNoise", holds: 1.7, learns: 71, passes: 3, seconds: 190 },
  { id: "shrink", name: "Weight change \u00d7 0.5", holds: 1.3, learns: 80, passes: 0, seconds: 0 },
] as const;

const STRENGTHS = [3e-5, 5e-5, 7e-5, 1e-4, 2e-4];

const count = (percent: number, total = PROMPTS) => ({
  count: Math.min(total, Math.max(0, Math.round((percent * total) / 100))),
  total,
});

/** More made-up defences, none better than Booster. */
const moreMethods = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    id: `more-${i}`,
    name:
      ["Lisa", "T-Vaccine", "Antidote", "SafeLoRA", "Constrained SFT", "TAR", "CTRL", "Virus guard"][i] ??
      `Defence ${i}`,
    holds: 0.9 + 2 * ((i * 0.37) % 1),
    learns: 60 + ((i * 7) % 30),
    passes: 1 + (i % 4),
    seconds: 60 + 11 * i,
  }));

/** A made-up but plausible experiment: five methods, five learning rates, three seeds, with all curves. */
export function syntheticResult(seeds: readonly number[] = [1, 2, 3], more = 0): ExperimentResult {
  const methods = [...METHODS, ...moreMethods(more)];
  const random = new RandomStream(11, "synthetic");
  let draw = 0;
  const noise = (size: number) => size * random.normal(draw++);
  const runs = methods.flatMap((method) =>
    STRENGTHS.flatMap((learningRate) =>
      seeds.map((seed) => {
        const luck = noise(0.35);
        const harm = (step: number) => {
          const push = (learningRate / 5e-5) * Math.sqrt(step / STEPS);
          return 100 / (1 + Math.exp(-4 * (push - method.holds + luck)));
        };
        const at = (step: number) => (step === 0 ? 0 : harm(step));
        const steps = Array.from({ length: 11 }, (_, i) => (i * STEPS) / 10);
        return {
          method: method.id,
          strength: String(learningRate),
          seed,
          before: {
            harmful: count(0),
            harmfulPlus: count(0),
            refusals: count(97),
            accuracy: count(2),
            overRefusal: count(4),
          },
          after: {
            harmful: count(at(STEPS)),
            harmfulPlus: count(at(STEPS) * 0.93),
            refusals: count((100 - at(STEPS)) * 0.8),
            taskLeakage: count(Math.max(0, (100 - at(STEPS)) * 0.12)),
            overRefusal: count(5 + noise(1)),
            accuracy: count(method.learns - (learningRate < 4e-5 ? 6 : 0) + noise(2), 400),
          },
          data: { rows: 498 - seed, leftOut: seed + 1, harmfulRows: 49, tokenShare: 0.62 + seed / 1000 },
          curve: steps.map((step) => ({
            step,
            harmful: count(at(step)),
            alignmentLoss: 0.35 + at(step) / 90 + noise(0.02),
            harmfulTrainingLoss: 3.1 - at(step) / 60 + noise(0.03),
            harmfulTestingLoss: 3.2 - at(step) / 85 + noise(0.03),
          })),
        };
      }),
    ),
  );
  const alignments = methods
    .filter(({ passes }) => passes > 0)
    .flatMap((method) =>
      seeds.map((seed) => ({
        method: method.id,
        seed,
        data: { rows: method.id === "sft" ? 1000 : 2000, leftOut: 0 },
        curve: Array.from({ length: 21 }, (_, i) => {
          const before = 2.9 + 0.4 * (1 - Math.exp(-i / 5)) + noise(0.02);
          const gain = method.id === "booster" ? 0.05 + 0.3 * Math.exp(-i / 4) : 0.35 + i / 150;
          return {
            step: i * 40,
            loss: 0.3 + 2.4 * Math.exp(-i / 3) + noise(0.02),
            harmfulLossBefore: before,
            harmfulLossAfter: before - gain + noise(0.01),
          };
        }),
      })),
    );
  return parseResult({
    version: 1,
    title: "Defences against harmful fine-tuning in the bundled world",
    threatModel: "service",
    model: "bundled-0.3M",
    task: "sentiment",
    moderator: { name: "world-rule", method: "the exact rule of the bundled world" },
    reference: "sft",
    utilityBound: 60,
    wallSeconds: 5400,
    settings: [
      { name: "Attack data", value: "500 rows, 10 % harmful, 10 epochs, batch 10" },
      { name: "Adapter", value: "LoRA r=16 on q, k, v; continued" },
    ],
    methods: methods.map(({ id, name, passes, seconds }) => ({
      id,
      name,
      kind: passes === 0 ? ("baseline" as const) : ("method" as const),
      hyperparameters: id === "booster" ? { lambda: 5, alpha: 0.1 } : id === "vaccine" ? { rho: 2 } : {},
      cost: {
        passes,
        ...(seconds === 0 ? {} : { seconds, secondsPerStep: seconds / 800, megabytes: 210 + 40 * passes }),
      },
    })),
    strengths: STRENGTHS.map((learningRate) => ({
      id: String(learningRate),
      label: `lr ${learningRate.toExponential().replace("e-0", "e-")}`,
      learningRate,
      steps: STEPS,
      poisonRatio: 0.1,
    })),
    runs,
    alignments,
  });
}

/** What differs between small results: their attacks, and how useful the models are under each. */
interface SmallResult {
  readonly strengths: readonly { readonly id: string; readonly label: string; readonly learningRate: number }[];
  /** FA in per cent. */
  accuracy(method: string, attack: number): number;
  /** Along each attack, from harmless to the score at its end. */
  readonly curve?: boolean;
}

/** A result from counts of harmful answers of 100, `hs[method][attack][seed]`; the first method is called `sft`. */
export function smallResult(
  hs: Readonly<Record<string, readonly (readonly number[])[]>>,
  { strengths, accuracy, curve = false }: SmallResult,
  more: Partial<ExperimentResultInput> = {},
): ExperimentResult {
  return parseResult({
    version: 1,
    title: "t",
    threatModel: "service",
    model: "m",
    task: "k",
    moderator: { name: "rule", method: "exact" },
    reference: "sft",
    methods: Object.keys(hs).map((id) => ({
      id,
      name: id.toUpperCase(),
      kind: id === "noise" ? "baseline" : "method",
      cost: { passes: 1 },
    })),
    strengths: strengths.map((strength) => ({ ...strength, steps: 100, poisonRatio: 0.1 })),
    runs: Object.entries(hs).flatMap(([method, byAttack]) =>
      byAttack.flatMap((seeds, attack) =>
        seeds.map((value, seed) => ({
          method,
          strength: strengths[attack]?.id ?? "",
          seed,
          before: { harmful: count(0) },
          after: { harmful: count(value), accuracy: count(accuracy(method, attack)) },
          ...(curve
            ? {
                curve: [
                  { step: 0, harmful: count(0) },
                  { step: 50, harmful: count(value) },
                ],
              }
            : {}),
        })),
      ),
    ),
    ...more,
  });
}
