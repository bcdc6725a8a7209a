import { describe, expect, test } from "vitest";
import { areaUnderCurve, mean, median, pairedPermutationTest, stepsToBreak, wilsonInterval } from "./statistics.ts";

const curve = (...ys: number[]) => ys.map((y, i) => ({ x: 10 * i, y }));

describe("location", () => {
  test("by hand", () => {
    expect(mean([1, 2, 6])).toBe(3);
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(median([5, Infinity, Infinity])).toBe(Infinity);
    expect(median([Infinity, Infinity])).toBe(Infinity);
  });

  test("empty and non-finite lists are refused", () => {
    expect(() => mean([])).toThrow("at least 1 finite numbers; found 0 numbers");
    expect(() => mean([1, Number.NaN])).toThrow("NaN at index 1");
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
