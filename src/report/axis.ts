import { compact, decimal } from "./format.ts";
import type { StrengthEntry } from "./result.ts";

/** One axis of a chart: where a value lies between the ends (0 to 1), and what is written along it. */
export interface Axis {
  readonly label: string;
  readonly ticks: readonly { readonly value: number; readonly text: string }[];
  position(value: number): number;
}

const spread = (low: number, high: number, value: number): number => (high > low ? (value - low) / (high - low) : 0.5);

/** 0 to 100 per cent. */
export const percentAxis = (label: string): Axis => ({
  label,
  ticks: [0, 25, 50, 75, 100].map((value) => ({ value, text: String(value) })),
  position: (value) => value / 100,
});

/** A linear axis over the values, about `count` round numbers written; widened to round numbers unless it is `tight`. */
export function linearAxis(label: string, values: readonly number[], count: number, tight = false): Axis {
  const least = Math.min(...values);
  const most = Math.max(...values);
  const rough = (most - least || Math.abs(most) || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / step - 1e-9));
  const digits = Math.max(0, Math.min(6, 1 - Math.floor(Math.log10(step))));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => {
    const value = (first + i) * step;
    return { value, text: decimal(Number(value.toFixed(digits)), decimalsOf(value, digits)) };
  });
  if (!tight) {
    return { label, ticks: sameDecimals(ticks), position: (value) => spread(first * step, last * step, value) };
  }
  const inside = ticks.filter(({ value }) => value >= least - 1e-9 * step && value <= most + 1e-9 * step);
  return { label, ticks: sameDecimals(inside), position: (value) => spread(least, most, value) };
}

const decimalsOf = (value: number, most: number): number =>
  (value.toFixed(most).split(".")[1] ?? "").replace(/0+$/, "").length;

function sameDecimals(ticks: readonly { value: number; text: string }[]): { value: number; text: string }[] {
  const most = Math.max(...ticks.map(({ text }) => (text.split(".")[1] ?? "").length));
  return ticks.map(({ value }) => ({ value, text: decimal(value, most) }));
}

/** Attack strengths along x: their one varying quantity where there is just one (rates and steps on a log scale), else their order. */
export function strengthAxis(strengths: readonly StrengthEntry[]): Axis & { placeOf(strength: StrengthEntry): number } {
  const varying = (["learningRate", "steps", "poisonRatio"] as const).filter(
    (key) => new Set(strengths.map((strength) => strength[key])).size > 1,
  );
  const [key] = varying;
  const values = key === undefined ? [] : strengths.map((strength) => strength[key]);
  if (key === undefined || varying.length > 1 || new Set(values).size < values.length) {
    const placeOf = (strength: StrengthEntry) => strengths.indexOf(strength);
    return {
      label: "Attack, weakest to strongest as listed",
      ticks: strengths.map((strength) => ({ value: placeOf(strength), text: strength.label })),
      position: (value) => spread(0, strengths.length - 1, value),
      placeOf,
    };
  }
  const scale = key === "poisonRatio" ? (value: number) => value : Math.log;
  const ends = [Math.min(...values), Math.max(...values)] as const;
  const text = (value: number) =>
    key === "poisonRatio" ? decimal(100 * value, decimalsOf(100 * value, 2)) : compact(value);
  const label = {
    learningRate: "Learning rate of the attack (log scale)",
    steps: "Steps of the attack (log scale)",
    poisonRatio: "Share of harmful rows in the attack data, %",
  }[key];
  return {
    label,
    ticks: values.map((value) => ({ value, text: text(value) })),
    position: (value) => spread(scale(ends[0]), scale(ends[1]), scale(value)),
    placeOf: (strength) => strength[key],
  };
}
