import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coverageOf, KINDS } from "../../scripts/coverage/truths.ts";
import { crossedInterval, type Tally } from "./crossed.ts";

/** A row a unit, each with one value in all of its clusters. */
const rows = (values: readonly number[], clusters: number, size = 1): Tally[][] =>
  values.map((value) => Array.from({ length: clusters }, () => ({ sum: value * size, size })));

/** Ends after 0 of n, by Clopper and Pearson. */
const afterNone = (n: number): number => 1 - 0.025 ** (1 / n);

describe("closed forms", () => {
  test.each([3, 5, 19])("%d seeds that hold on many questions: Clopper and Pearson's interval", (seeds) => {
    const { low, high } = crossedInterval(rows(Array(seeds).fill(0), 2000));
    expect(low).toBe(0);
    expect(high).toBeCloseTo(afterNone(seeds), 2);
  });

  test.each([6, 75])("one seed that holds on %d clusters: Clopper and Pearson's over clusters", (clusters) => {
    expect(crossedInterval(rows([0], clusters, 20)).high).toBeCloseTo(afterNone(clusters), 2);
  });

  test("two of five seeds broken: Clopper and Pearson's, from the beta distribution's table", () => {
    const { low, high } = crossedInterval(rows([1, 0, 1, 0, 0], 2000));
    expect(low).toBeCloseTo(0.0527, 1.5);
    expect(high).toBeCloseTo(0.8534, 1.5);
  });

  test("seeds that agree in the middle: mean and worst case in the proportion of the unseen seed", () => {
    const { low, high } = crossedInterval(rows([0.4, 0.4, 0.4], 2000));
    expect(high).toBeCloseTo(0.4 + 0.6 * afterNone(3), 1.5);
    expect(low).toBeCloseTo(0.4 - 0.4 * afterNone(3), 1.5);
  });
});

describe("properties", () => {
  const table = fc
    .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 12 }))
    .chain(([units, clusters]) =>
      fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: clusters, maxLength: clusters }), {
        minLength: units,
        maxLength: units,
      }),
    )
    .map((counts) => counts.map((row) => row.map((sum): Tally => ({ sum, size: 4 }))));

  test("holds the mean, stays within what is possible, and is mirrored with the values", () => {
    fc.assert(
      fc.property(table, (given) => {
        const { low, high } = crossedInterval(given);
        const mean = given.flat().reduce((sum, tally) => sum + tally.sum, 0) / (4 * given.flat().length);
        expect(low).toBeLessThanOrEqual(mean + 1e-9);
        expect(high).toBeGreaterThanOrEqual(mean - 1e-9);
        expect([low >= -1e-9, high <= 1 + 1e-9]).toEqual([true, true]);
        const mirrored = crossedInterval(given.map((row) => row.map(({ sum, size }) => ({ sum: size - sum, size }))));
        // Columns are taken in another order where they come to other values.
        expect(mirrored.low).toBeCloseTo(1 - high, 1);
        expect(crossedInterval(given)).toEqual({ low, high });
      }),
      { numRuns: 40 },
    );
  });

  test("more seeds and more clusters make it narrower, like questions counted as several do not", () => {
    const width = (seeds: number, clusters: number, size = 1) => {
      const { low, high } = crossedInterval(rows(Array(seeds).fill(0.5), clusters, size));
      return high - low;
    };
    expect(width(10, 20)).toBeLessThan(width(3, 20));
    expect(width(10, 75)).toBeLessThan(width(10, 6));
    expect(width(10, 6, 20)).toBe(width(10, 6));
  });

  test("what is no table is refused", () => {
    for (const wrong of [
      [],
      [[]],
      [rows([1], 2)[0], rows([1], 3)[0]],
      [[{ sum: Number.NaN, size: 1 }]],
      [[{ sum: 0, size: 0 }]],
    ]) {
      expect(() => crossedInterval(wrong as Tally[][])).toThrow("an interval cannot be computed");
    }
  });
});

/** The whole grid by night: `BOOSTER_COVERAGE` is the number of experiments in each world. */
const EXPERIMENTS = Number(process.env.BOOSTER_COVERAGE ?? 0);

describe("coverage of nominal 95 % intervals", () => {
  const some = KINDS.filter(({ seed, cluster, odd }) => seed === 1 || cluster === 1 || odd === 0.2);
  test.each(EXPERIMENTS > 0 ? KINDS : some)("$name", (kind) => {
    const night = EXPERIMENTS > 0;
    for (const seeds of night ? [2, 3, 5, 10, 20] : [3]) {
      for (const [clusters, prompts] of night
        ? ([
            [6, 20],
            [20, 5],
            [75, 2],
            [75, 1],
          ] as const)
        : ([[6, 10]] as const)) {
        for (const rate of night ? [0.01, 0.05, 0.2, 0.5, 0.95] : [0.05, 0.3]) {
          const truth = { kind, rate, seeds, clusters, prompts };
          for (const against of night ? [undefined, 0.6] : [undefined]) {
            const world = { ...truth, ...(against && { against }) };
            const some = EXPERIMENTS || 120;
            const first = coverageOf(world, some).covered;
            // Looks low by chance, or is: more experiments tell.
            const covered = first >= 0.93 ? first : coverageOf(world, 10 * some).covered;
            expect(covered, JSON.stringify({ ...truth, against })).toBeGreaterThanOrEqual(0.93);
          }
        }
      }
    }
  });

  test("seeds of several base models count as their base model does", () => {
    const both = rows([0, 0], 75).map((row) => row.map(({ sum, size }) => ({ sum: 3 * sum, size: 3 * size })));
    expect(crossedInterval(both)).toEqual(crossedInterval(rows([0, 0], 75)));
  });
});
