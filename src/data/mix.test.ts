import { expect, test } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { mixCounts, mixPoison, poisonShare } from "./mix.ts";

const numbered = (kind: string, count: number) => Array.from({ length: count }, (_, i) => `${kind}${i}`);

test.each([
  // p, n, reference harmful, reference benign, exact harmful
  [0, 1000, 0, 1000, 0],
  [0.05, 1000, 49, 950, 50],
  [0.1, 1000, 99, 900, 100],
  [0.2, 1000, 199, 800, 200],
  [0.9, 1000, 899, 99, 900],
  [1, 1000, 999, 0, 1000],
  [0.1, 500, 49, 450, 50],
  [0.0001, 1000, 0, 999, 0],
])("p = %d, n = %i", (p, n, harmful, benign, exact) => {
  expect(mixCounts(p, n, "reference")).toEqual({ harmful, benign });
  expect(mixCounts(p, n, "exact")).toEqual({ harmful: exact, benign: n - exact });
});

test("the reference's order and rows", () => {
  const options = { poisonRatio: 0.5, sampleNumber: 6, counts: "reference" } as const;
  expect(mixPoison(numbered("h", 5), numbered("b", 5), options).map(({ example }) => example)).toEqual([
    "h1",
    "h2",
    "b0",
    "b1",
    "b2",
  ]);
  const exact = mixPoison(numbered("h", 5), numbered("b", 5), { ...options, counts: "exact" });
  expect(exact.map(({ example, harmful }) => [example, harmful])).toEqual([
    ["h0", true],
    ["h1", true],
    ["h2", true],
    ["b0", false],
    ["b1", false],
    ["b2", false],
  ]);
});

test("no poison gives the benign rows unchanged", () => {
  const benign = numbered("b", 10);
  for (const counts of ["reference", "exact"] as const) {
    const mixed = mixPoison([], benign, { poisonRatio: 0, sampleNumber: 10, counts });
    expect(mixed.map(({ example }) => example)).toEqual(benign);
  }
});

test("one seed gives one order, another seed another order of the same rows", () => {
  const mix = (seed: number) =>
    mixPoison(numbered("h", 50), numbered("b", 50), {
      poisonRatio: 0.5,
      sampleNumber: 60,
      counts: "exact",
      shuffle: new RandomStream(seed, "mix"),
    }).map(({ example }) => example);
  expect(mix(1)).toEqual(mix(1));
  expect(mix(1)).not.toEqual(mix(2));
  expect(mix(1).sort()).toEqual(mix(2).sort());
});

test("too few rows are an error, not a smaller mix", () => {
  const options = { poisonRatio: 0.5, sampleNumber: 10, counts: "exact" } as const;
  expect(() => mixPoison(numbered("h", 4), numbered("b", 9), options)).toThrow(/harmful rows; expected 5; found 4/);
});

test("poison weighs by its tokens", () => {
  const part = (trainedTokens: number, harmful: boolean) => ({ example: { trainedTokens }, harmful });
  const share = poisonShare([part(80, true), ...Array.from({ length: 10 }, () => part(2, false))]);
  expect(share).toEqual({ rows: 11, harmfulRows: 1, trainedTokens: 100, harmfulTokens: 80, tokenShare: 0.8 });
  expect(poisonShare([]).tokenShare).toBe(0);
});
