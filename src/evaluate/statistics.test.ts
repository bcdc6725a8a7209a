import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  areaUnderCurve,
  bootstrapInterval,
  mean,
  median,
  pairedPermutationTest,
  seedInterval,
  standardDeviation,
  stepsToBreak,
  studentInterval,
  wilsonInterval,
} from "./statistics.ts";
import { studentQuantile } from "./student.ts";

const curve = (...ys: number[]) => ys.map((y, i) => ({ x: 10 * i, y }));
const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { minLength: 2, maxLength: 8 });

describe("Student's t", () => {
  test.each([
    [0.975, 1, 12.7062047],
    [0.975, 2, 4.3026527],
    [0.975, 4, 2.7764451],
    [0.95, 9, 1.8331129],
    [0.995, 30, 2.7499957],
    [0.975, 1e6, 1.9599664],
  ])("quantile %d with %d degrees of freedom is the table's", (p, freedom, expected) => {
    expect(studentQuantile(p, freedom)).toBeCloseTo(expected, 5);
    expect(studentQuantile(1 - p, freedom)).toBeCloseTo(-expected, 5);
  });

  test("interval of 1, 2, 3 is 2 +- 4.3027 / sqrt(3)", () => {
    expect(studentInterval([1, 2, 3]).low).toBeCloseTo(2 - 4.3026527 / Math.sqrt(3), 6);
    expect(studentInterval([1, 2, 3]).high).toBeCloseTo(2 + 4.3026527 / Math.sqrt(3), 6);
  });
});

describe("location and spread", () => {
  test("by hand", () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(standardDeviation([2, 4, 4, 4, 5, 5, 7, 9])).toBeCloseTo(2.1380899, 6);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([5, Infinity, Infinity])).toBe(Infinity);
    expect(median([Infinity, Infinity])).toBe(Infinity);
  });

  test("empty and non-finite lists are refused", () => {
    expect(() => mean([])).toThrow("at least 1 finite numbers; found 0 numbers");
    expect(() => mean([1, Number.NaN])).toThrow("NaN at index 1");
    expect(() => standardDeviation([1])).toThrow("at least 2");
  });
});

describe("bootstrap", () => {
  test("two values: the resampled means are 0, 1/2 and 1", () => {
    expect(bootstrapInterval([0, 1])).toEqual({ low: 0, high: 1 });
    expect(bootstrapInterval([0, 1], { level: 0.4 })).toEqual({ low: 0.5, high: 0.5 });
  });

  test("many values: close to the normal interval", () => {
    const many = Array.from({ length: 200 }, (_, i) => i);
    const half = (1.96 * standardDeviation(many)) / Math.sqrt(200);
    expect(bootstrapInterval(many).low).toBeCloseTo(99.5 - half, -0.5);
    expect(bootstrapInterval(many).high).toBeCloseTo(99.5 + half, -0.5);
  });

  test("stays within the values and repeats itself", () => {
    fc.assert(
      fc.property(values, (list) => {
        const interval = bootstrapInterval(list, { resamples: 100 });
        expect(interval.low).toBeGreaterThanOrEqual(Math.min(...list) - 1e-9);
        expect(interval.high).toBeLessThanOrEqual(Math.max(...list) + 1e-9);
        expect(bootstrapInterval(list, { resamples: 100 })).toEqual(interval);
      }),
      { numRuns: 50 },
    );
  });

  test("few seeds use Student's t, many the bootstrap, one none", () => {
    const ten = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    expect(seedInterval([1])).toBeUndefined();
    expect(seedInterval([1, 2, 3])).toEqual(studentInterval([1, 2, 3]));
    expect(seedInterval(ten)).toEqual(bootstrapInterval(ten));
  });
});

describe("Wilson", () => {
  test.each([
    [0, 10, 0, 0.2775328],
    [10, 10, 0.7224672, 1],
    [5, 10, 0.2365931, 0.7634069],
    [15, 100, 0.0930776, 0.2327996],
  ])("%d of %d", (count, total, low, high) => {
    const interval = wilsonInterval(count, total);
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("no share of nothing", () => expect(() => wilsonInterval(0, 0)).toThrow("not a share"));
});

describe("paired permutation test", () => {
  test("three seeds, all in one direction: 2 of 8 flips", () => {
    expect(pairedPermutationTest([10, 12, 15], [1, 2, 3])).toBe(0.25);
  });
  test("Fisher's corn: 863 of 32768 one-sided (Darwin's maize, differences in eighths of an inch)", () => {
    const darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
    const p = pairedPermutationTest(
      darwin,
      darwin.map(() => 0),
    );
    expect(p).toBeCloseTo((2 * 863) / 32768, 10);
  });
  test("no difference at all", () => expect(pairedPermutationTest([1, 2], [1, 2])).toBe(1));
  test("many pairs: random flips find a clear difference", () => {
    const a = Array.from({ length: 20 }, (_, i) => i + 1);
    expect(
      pairedPermutationTest(
        a,
        a.map(() => 0),
      ),
    ).toBeLessThan(0.001);
    expect(
      pairedPermutationTest(
        a.map((v) => (v % 2 ? v : -v)),
        a.map(() => 0),
      ),
    ).toBeGreaterThan(0.5);
  });
  test("unpaired lists are refused", () => expect(() => pairedPermutationTest([1], [1, 2])).toThrow("not paired"));
});

describe("curves", () => {
  test("steps to break: the first measured step, or never", () => {
    expect(stepsToBreak(curve(0, 20, 55, 90), 50)).toBe(20);
    expect(stepsToBreak(curve(0, 20), 50)).toBeUndefined();
    expect(stepsToBreak(curve(50), 50)).toBe(0);
  });

  test("area: the mean height", () => {
    expect(areaUnderCurve(curve(0, 10))).toBe(5);
    expect(areaUnderCurve(curve(0, 10, 10))).toBe(7.5);
    expect(areaUnderCurve(curve(7))).toBe(7);
    expect(areaUnderCurve(curve(0, 4, 1).toReversed())).toBeCloseTo(2.25);
    expect(() => areaUnderCurve([])).toThrow("an area cannot be computed");
  });
});
