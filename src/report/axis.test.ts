import { describe, expect, test } from "vitest";
import { linearAxis, strengthAxis } from "./axis.ts";
import { compact, decimal } from "./format.ts";
import { sweepOf } from "./sweep.ts";

const strength = (learningRate: number, steps = 100, poisonRatio = 0.1) => ({
  id: `${learningRate}/${steps}/${poisonRatio}`,
  label: `lr ${learningRate}`,
  learningRate,
  steps,
  poisonRatio,
});

describe("attack strengths", () => {
  test("learning rates stand on a log scale", () => {
    const axis = strengthAxis([strength(1e-5), strength(1e-4), strength(1e-3)]);
    expect(axis.ticks.map(({ value }) => axis.position(value))).toEqual([0, expect.closeTo(0.5, 12), 1]);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["1e-5", "1e-4", "0.001"]);
    expect(axis.label).toContain("log scale");
  });

  test("poison ratios stand on a linear scale, zero included, in per cent", () => {
    const axis = strengthAxis([strength(1e-4, 100, 0), strength(1e-4, 100, 0.05), strength(1e-4, 100, 0.2)]);
    expect(axis.ticks.map(({ value }) => axis.position(value))).toEqual([0, 0.25, 1]);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0", "5", "20"]);
  });

  test("two varying quantities, or repeated values: by order and label", () => {
    for (const pair of [
      [strength(1e-5, 10), strength(1e-4, 20)],
      [strength(1e-4), strength(1e-4)],
    ]) {
      const axis = strengthAxis(pair);
      expect(axis.ticks.map(({ text }) => text)).toEqual(pair.map(({ label }) => label));
      expect(pair.map(sweepOf(pair).positionOf)).toEqual([0, 1]);
    }
  });

  test("a single strength stands in the middle", () => {
    const only = strength(1e-4);
    expect(sweepOf([only]).positionOf(only)).toBe(0.5);
  });
});

describe("linear axes", () => {
  test("round ticks around the values", () => {
    const axis = linearAxis("loss", [0.31, 1.42], 4);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0.0", "0.5", "1.0", "1.5"]);
    expect(axis.position(1.5)).toBe(1);
  });

  test("tight: round ticks within the values", () => {
    const axis = linearAxis("step", [0, 500], 4, true);
    expect(axis.ticks.map(({ text }) => text)).toEqual(["0", "200", "400"]);
    expect(axis.position(500)).toBe(1);
  });

  test("equal and negative values still make an axis", () => {
    expect(linearAxis("x", [0, 0], 4).ticks.length).toBeGreaterThan(1);
    expect(linearAxis("x", [-2, -1], 4).ticks[0]?.text).toBe("\u22122.00");
  });
});

test.each([
  [3e-5, "3e-5"],
  [0.1, "0.1"],
  [0, "0"],
  [1234567, "1.235e6"],
  [12, "12"],
])("%d is written %s", (value, text) => expect(compact(value)).toBe(text));

test("a true minus sign, but none before zero", () => {
  expect(decimal(-1.25)).toBe("\u22121.3");
  expect(decimal(-0.01)).toBe("0.0");
});
