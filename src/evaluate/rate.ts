import { wilsonInterval } from "./statistics.ts";

/** A share of yes/no outcomes: counts, per cent, and Wilson's 95 % interval in per cent. */
export interface Rate {
  readonly count: number;
  readonly total: number;
  readonly percent: number;
  readonly low: number;
  readonly high: number;
}

/**
 * A share with its interval. Throws `STATISTICS_INPUT` when `total` is 0 or smaller than `count`.
 *
 * @example
 * rate(3, 10).percent; // 30
 */
export function rate(count: number, total: number): Rate {
  const { low, high } = wilsonInterval(count, total);
  return { count, total, percent: (100 * count) / total, low: 100 * low, high: 100 * high };
}

/** The share of items that satisfy a condition. Throws `STATISTICS_INPUT` for an empty list. */
export const rateOf = <T>(items: readonly T[], holds: (item: T, index: number) => boolean): Rate =>
  rate(items.filter(holds).length, items.length);
