import { expect, test } from "vitest";
import { detection } from "./detection.ts";

test("perfect, useless and inverted scores", () => {
  expect(detection([3, 4], [1, 2])).toEqual({ auroc: 1, averagePrecision: 1, truePositiveRate: 1, threshold: 3 });
  expect(detection([1, 1], [1, 1])).toMatchObject({ auroc: 0.5, averagePrecision: 0.5, truePositiveRate: 0 });
  expect(detection([1, 2], [3, 4]).auroc).toBe(0);
});

test("by hand", () => {
  // Thresholds 5 (1 of 3, none wrong), 4 (one wrong), 3 (2 of 3), 2 (two wrong), 1 (all).
  const found = detection([5, 3, 1], [4, 2], 0.5);
  expect(found.auroc).toBeCloseTo(3 / 6, 12);
  expect(found.averagePrecision).toBeCloseTo((1 + 2 / 3 + 3 / 5) / 3, 12);
  expect([found.truePositiveRate, found.threshold]).toEqual([2 / 3, 3]);
});

test("nothing may be flagged where the bound allows none", () => {
  expect(detection([1], [2], 0)).toMatchObject({ truePositiveRate: 0, threshold: Number.POSITIVE_INFINITY });
});

test("one kind alone has no detection", () => {
  expect(() => detection([], [1])).toThrow(/both kinds/);
  expect(() => detection([Number.NaN], [1])).toThrow(/both kinds/);
});
