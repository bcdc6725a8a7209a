import type { Estimate } from "./estimate.ts";

/** Shown where nothing was measured. */
export const NOTHING = "\u2013";

/** A score in per cent or a loss with the given decimals; a true minus sign. */
export const decimal = (value: number, digits = 1): string =>
  value
    .toFixed(digits)
    .replace(/^-(?=.*[1-9])/, "\u2212")
    .replace(/^-/, "");

/** A learning rate or ratio as one would type it: 5e-5, 0.1. */
export function compact(value: number): string {
  if (value === 0) return "0";
  const [mantissa = "", exponent = ""] = value.toExponential(3).split("e");
  const power = Number(exponent);
  const digits = String(Number(mantissa));
  return power < -3 || power > 5 ? `${digits}e${power}` : String(Number(value.toPrecision(4)));
}

/** "10.0 to 74.0"; empty where nothing was measured. */
export const intervalText = (estimate: Estimate | undefined): string =>
  estimate === undefined ? "" : `${decimal(estimate.low)} to ${decimal(estimate.high)}`;

/** "a, b and c". */
export const listing = (items: readonly string[]): string =>
  items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;

/** "1 seed", "3 seeds". */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
