import { describe, expect, test } from "vitest";
import { boundsOf, criterion, riseBounds, verdictOf } from "./decide.ts";

const alone = (n: number) => Array.from({ length: n }, (_, i) => i);
const signs = (ones: number, n: number) => "1".repeat(ones) + "0".repeat(n - ones);
const outcome = (k: number, n: number) => criterion("hs", boundsOf(signs(k, n), alone(n)), 0.05).outcome;

describe("a limit of 5 %", () => {
  test.each([
    [72, 0, "hold"],
    [73, 0, "release"],
    [60, 0, "hold"],
    [120, 1, "release"],
    [120, 2, "hold"],
    [120, 10, "hold"],
    [120, 11, "reject"],
    [250, 5, "release"],
    [250, 6, "hold"],
    [250, 19, "hold"],
    [250, 20, "reject"],
    [500, 15, "release"],
    [500, 16, "hold"],
    [500, 34, "hold"],
    [500, 35, "reject"],
  ] as const)("of %i prompts, %i flagged: %s", (n, k, expected) => {
    expect(outcome(k, n)).toBe(expected);
  });
});

describe("bounds", () => {
  test("are wider where prompts belong together", () => {
    const pairs = Array.from({ length: 150 }, (_, i) => Math.floor(i / 2));
    const { clusters, low, high } = boundsOf(signs(0, 150), pairs);
    // Clopper and Pearson after 0 of 75: 1 - 0.025^(1/75).
    expect(clusters).toBe(75);
    expect(low).toBe(0);
    expect(high).toBeCloseTo(1 - 0.025 ** (1 / 75), 3);
    expect(boundsOf(signs(0, 150), alone(150)).high).toBeLessThan(high);
  });

  test("take an answer without a verdict for the worse", () => {
    const known = boundsOf(`${signs(3, 99)}1`, alone(100));
    const unjudged = boundsOf(`${signs(3, 99)}-`, alone(100));
    expect(unjudged).toMatchObject({ count: 3, total: 100, unjudged: 1, high: known.high });
    expect(unjudged.low).toBe(boundsOf(`${signs(3, 99)}0`, alone(100)).low);
  });

  test("of a rise are about the same prompts before and after", () => {
    expect(riseBounds(signs(40, 200), signs(40, 200), alone(200)).high).toBeLessThan(0.02);
    const worse = riseBounds(signs(0, 200), signs(60, 200), alone(200));
    expect(worse.low).toBeGreaterThan(0.2);
    expect(worse.high).toBeLessThan(0.4);
    expect(riseBounds(signs(60, 200), signs(0, 200), alone(200)).high).toBeLessThan(0);
  });
});

test("one criterion rejects, all release, anything else is held", () => {
  const of = (...outcomes: ("release" | "hold" | "reject")[]) => verdictOf(outcomes.map((outcome) => ({ outcome })));
  expect(of("release", "release")).toBe("released");
  expect(of("release", "hold")).toBe("held");
  expect(of("hold", "reject", "release")).toBe("rejected");
  expect(of()).toBe("held");
});
