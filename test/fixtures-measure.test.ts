import { expect, test } from "vitest";
import { isWithin, near, relative } from "../scripts/fixtures/measure.ts";

test("numbers that are not there do not agree", () => {
  expect(relative([], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  expect(relative([1, 2, 3], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  expect(isWithin(near("missing", [], [0]))).toBe(false);
  expect(isWithin(near("same", [1, 2], [1, 2]))).toBe(true);
});
