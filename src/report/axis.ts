import { compact, decimal } from "./format.ts";
import type { StrengthEntry } from "./result.ts";
import { spread, sweepOf } from "./sweep.ts";

/** One axis of a chart: where a value lies between the ends (0 to 1), and what is written along it. */
export interface Axis {
  readonly label: string;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
  position(value: number): number;
}

/** 0 to 100 per cent. */
export const percentAxis = (label: string): Axis => ({
  label,
  ticks: [0, 25, 50, 75, 100].map((value) => ({ value, text: String(value) })),
  position: (value) => value / 100,
});

/** A linear axis over the values, about `count` round numbers written; widened to round numbers unless it is `tight`. */
export function linearAxis(label: string, over: readonly number[], count: number, tight = false): Axis {
  const least = Math.min(...over);
  const most = Math.max(...over);
  const rough = (most - least || Math.abs(most) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / step - 1e-9));
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(step))));
  const [low, high] = tight ? [least, most] : [first * step, last * step];
  const values = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step).filter(
    (value) => value >= low - 1e-9 * step && value <= high + 1e-9 * step,
  );
  const places = Math.max(...values.map((value) => decimalsOf(value, digits)));
  return {
    label,
    ticks: values.map((value) => ({ value, text: decimal(value, places) })),
    position: (value) => spread(low, high, value),
  };
}

const decimalsOf = (value: number, most: number): number =>
  (value.toFixed(most).split(".")[1] ?? "").replace(/0+$/, "").length;

const STRENGTH_AXES = {
  learningRate: {
    label: "Learning rate of the attack (log scale)",
    text: ({ learningRate }: StrengthEntry) => compact(learningRate),
  },
  steps: { label: "Steps of the attack (log scale)", text: ({ steps }: StrengthEntry) => compact(steps) },
  poisonRatio: {
    label: "Share of harmful rows in the attack data, %",
    text: ({ poisonRatio }: StrengthEntry) => decimal(100 * poisonRatio, decimalsOf(100 * poisonRatio, 2)),
  },
  order: { label: "Attack, in the order listed", text: ({ label }: StrengthEntry) => label },
};

/** Attack strengths along x, by their position in the sweep. */
export function strengthAxis(strengths: readonly StrengthEntry[]): Axis {
  const { quantity, positionOf } = sweepOf(strengths);
  const { label, text } = STRENGTH_AXES[quantity ?? "order"];
  const ticks = strengths.map((strength) => ({ value: positionOf(strength), text: text(strength) }));
  return { label, ticks, position: (value) => value };
}
