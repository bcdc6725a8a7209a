import { BoosterError } from "../errors.ts";
import { RandomStream } from "../tensor/random.ts";

/** Two ends of a confidence interval, in the unit of the values. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** A point of a curve. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

const NORMAL_95 = 1.959963984540054;

function demand(values: readonly number[], minimum: number, what: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (values.length >= minimum && bad < 0) return;
  throw new BoosterError("STATISTICS_INPUT", `${what} cannot be computed`, {
    expected: `at least ${minimum} finite numbers`,
    found: bad < 0 ? `${values.length} numbers` : `${values[bad]} at index ${bad}`,
  });
}

/** The arithmetic mean. Throws `STATISTICS_INPUT` for an empty or non-finite list. */
export function mean(values: readonly number[]): number {
  demand(values, 1, "a mean");
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The middle value, Infinity allowed; the mean of the two middle ones for an even count. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) {
    throw new BoosterError("STATISTICS_INPUT", "a median cannot be computed", { expected: "at least 1 number" });
  }
  return lower === upper ? lower : (lower + upper) / 2;
}

/** The q-quantile of sorted values, linear between neighbours. */
export function quantile(sorted: Float64Array, q: number): number {
  const position = q * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/**
 * Wilson's 95 % score interval of a share, in [0, 1]; sensible at 0 and 1, unlike the normal one.
 *
 * Source: Wilson, "Probable inference", JASA 22, 1927. Throws `STATISTICS_INPUT` unless 0 <= count <= total and total > 0.
 * @example
 * wilsonInterval(0, 10); // { low: 0, high: 0.2775 }
 */
export function wilsonInterval(count: number, total: number): Interval {
  if (!(total > 0 && count >= 0 && count <= total)) {
    throw new BoosterError("STATISTICS_INPUT", "not a share", {
      expected: "0 <= count <= total and total > 0",
      found: `${count} of ${total}`,
    });
  }
  const share = count / total;
  const z2 = NORMAL_95 ** 2 / total;
  const centre = (share + z2 / 2) / (1 + z2);
  const half = (NORMAL_95 * Math.sqrt((share * (1 - share)) / total + z2 / (4 * total))) / (1 + z2);
  return { low: count === 0 ? 0 : centre - half, high: count === total ? 1 : centre + half };
}

/**
 * Two-sided paired permutation test of "no difference": p = share of the sign flips of the differences a - b whose mean is at least
 * as far from zero as the observed one. Exact up to 16 pairs, else 10 000 random flips (p never below 1 / 10 001).
 * The smallest p that n pairs can give is 2^(1 - n): 0.25 for three seeds.
 *
 * Throws `STATISTICS_INPUT` when the lists are empty or differ in length.
 */
export function pairedPermutationTest(a: readonly number[], b: readonly number[], seed = 0): number {
  if (a.length !== b.length) {
    throw new BoosterError("STATISTICS_INPUT", "the two lists are not paired", {
      expected: `${a.length} values in both`,
      found: `${b.length} in the second`,
    });
  }
  const differences = a.map((value, i) => value - (b[i] ?? Number.NaN));
  demand(differences, 1, "a permutation test");
  const observed = Math.abs(differences.reduce((sum, d) => sum + d, 0));
  const slack = 1e-12 * differences.reduce((sum, d) => sum + Math.abs(d), 0);
  const reaches = (flipped: (i: number) => boolean): boolean =>
    Math.abs(differences.reduce((sum, d, i) => sum + (flipped(i) ? -d : d), 0)) >= observed - slack;
  let extreme = 0;
  if (differences.length <= 16) {
    const all = 2 ** differences.length;
    for (let mask = 0; mask < all; mask++) if (reaches((i) => ((mask >> i) & 1) === 1)) extreme++;
    return extreme / all;
  }
  const random = new RandomStream(seed, "permutation-test");
  const draws = 10_000;
  for (let draw = 0; draw < draws; draw++) {
    if (reaches((i) => random.uniform(draw * differences.length + i) < 0.5)) extreme++;
  }
  return (extreme + 1) / (draws + 1);
}

/** The first measured x at which a curve reaches the threshold; undefined when it never does. No interpolation between measurements. */
export function stepsToBreak(curve: readonly Point[], threshold: number): number | undefined {
  return curve.toSorted((a, b) => a.x - b.x).find((point) => point.y >= threshold)?.x;
}

/**
 * Area under a curve by the trapezoid rule divided by its width: the mean height, in the unit of y. One point is its own height.
 *
 * Throws `STATISTICS_INPUT` for an empty curve.
 */
export function areaUnderCurve(curve: readonly Point[]): number {
  const sorted = curve.toSorted((a, b) => a.x - b.x);
  demand(
    sorted.flatMap((point) => [point.x, point.y]),
    1,
    "an area",
  );
  const first = sorted[0] as Point;
  const width = (sorted.at(-1) as Point).x - first.x;
  if (width === 0) return mean(sorted.map((point) => point.y));
  let area = 0;
  let before = first;
  for (const point of sorted.slice(1)) {
    area += ((point.x - before.x) * (point.y + before.y)) / 2;
    before = point;
  }
  return area / width;
}
