import { expect, test } from "vitest";
import { withDeadline } from "./deadline.ts";

test("an endless loop and an endless expression are stopped, what a task gives or throws passes through", () => {
  const endless = () => {
    for (;;);
  };
  const backtracking = () => /^(a+)+$/.test(`${"a".repeat(40)}!`);
  for (const task of [endless, backtracking]) {
    const start = performance.now();
    expect(() => withDeadline(50, task)).toThrow(/stopped/);
    expect(performance.now() - start).toBeLessThan(2000);
  }
  expect(withDeadline(1000, () => 7)).toBe(7);
  expect(() =>
    withDeadline(1000, () => {
      throw new RangeError("mine");
    }),
  ).toThrow(RangeError);
});
