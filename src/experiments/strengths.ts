import type { ExperimentOptions, StrengthEntry } from "./options.ts";

const number = (value: number): string => value.toExponential().replace("e-0", "e-").replace("e+0", "");

/** A choice by name with its settings: `sgd`, `sgd momentum 0.9`. */
export const chosen = ({ name, ...settings }: { readonly name: string }): string =>
  [name, ...Object.entries(settings).map(([setting, value]) => `${setting} ${String(value)}`)].join(" ");

type Varied = {
  readonly [K in Exclude<keyof StrengthEntry, "label" | "learningRate">]-?: NonNullable<StrengthEntry[K]>;
};

/** What each thing that a strength may vary is called; the learning rate is told of every strength. */
const NAMES: { readonly [K in keyof Varied]: (value: Varied[K]) => string } = {
  attack: chosen,
  poisonRatio: (ratio) => `${+(100 * ratio).toFixed(4)} % harmful`,
  sampleNumber: (rows) => `${rows} rows`,
  epochs: (epochs) => `${epochs} epochs`,
  steps: (steps) => `${steps} steps`,
  optimizer: chosen,
  schedule: (kind) => kind,
  warmup: (share) => `${+(100 * share).toFixed(4)} % warm-up`,
  tune: (what) => (what === "full" ? "all weights" : "LoRA"),
  loraRank: (rank) => `rank ${rank}`,
};

const described = <K extends keyof Varied>(strength: StrengthEntry, key: K): string[] => {
  const value = strength[key] as Varied[K] | undefined;
  return value === undefined ? [] : [NAMES[key](value)];
};

/**
 * An attack's name in tables and files: its label, or its learning rate and all that it says for itself.
 *
 * @example
 * strengthLabel(options, 0); // "lr 5e-5", or "lr 1e-2, sgd momentum 0.9, all weights"
 */
export function strengthLabel(
  { strengths, attack }: Pick<ExperimentOptions, "strengths" | "attack">,
  index: number,
): string {
  const strength = strengths[index] ?? {};
  const { label, learningRate = attack.learningRate } = strength;
  const rest = (Object.keys(NAMES) as (keyof Varied)[]).flatMap((key) => described(strength, key));
  return label ?? [`lr ${number(learningRate)}`, ...rest].join(", ");
}
