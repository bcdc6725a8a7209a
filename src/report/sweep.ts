import type { StrengthEntry } from "./result.ts";

/** How attacks of growing strength lie beside each other. */
export interface Sweep {
  /** The one quantity that varies, each value once; absent: attacks lie in the order in which they are listed. */
  readonly quantity?: "learningRate" | "steps" | "poisonRatio";
  /** 0 for the weakest to 1 for the strongest; rates and steps on a log scale. */
  positionOf(strength: StrengthEntry): number;
}

/** The place of a value between two ends, 0 to 1; in the middle where they are the same. */
export const spread = (low: number, high: number, value: number): number =>
  high > low ? (value - low) / (high - low) : 0.5;

/** What the strengths of an experiment have as an axis, for areas under curves as for drawings. */
export function sweepOf(strengths: readonly StrengthEntry[]): Sweep {
  const [quantity, another] = (["learningRate", "steps", "poisonRatio"] as const).filter(
    (key) => new Set(strengths.map((strength) => strength[key])).size > 1,
  );
  const values = quantity === undefined ? [] : strengths.map((strength) => strength[quantity]);
  if (quantity === undefined || another !== undefined || new Set(values).size < values.length) {
    return { positionOf: (strength) => spread(0, strengths.length - 1, strengths.indexOf(strength)) };
  }
  const scale = quantity === "poisonRatio" ? (value: number) => value : Math.log;
  const [low, high] = [scale(Math.min(...values)), scale(Math.max(...values))];
  return { quantity, positionOf: (strength) => spread(low, high, scale(strength[quantity])) };
}
