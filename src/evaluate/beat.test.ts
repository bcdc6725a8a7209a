import { expect, test } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { assignment, beatScore, chooseProbes, cosineCosts, spread } from "./beat.ts";

const random = new RandomStream(1, "beat");
let drawn = 0;
const embeddings = (count: number, width = 3) =>
  Array.from({ length: count }, () => Array.from({ length: width }, () => random.normal(drawn++)));

function* permutations(n: number, taken: readonly number[] = []): Generator<readonly number[]> {
  if (taken.length === n) yield taken;
  for (let i = 0; i < n; i++) if (!taken.includes(i)) yield* permutations(n, [...taken, i]);
}

test.each([1, 2, 3, 4, 5, 6])("the assignment of %i rows is the cheapest of all permutations", (n) => {
  for (let round = 0; round < 20; round++) {
    const costs = Array.from({ length: n }, () => Array.from({ length: n }, () => random.uniform(drawn++)));
    const price = (columns: readonly number[]) => columns.reduce((sum, column, row) => sum + costs[row]![column]!, 0);
    const found = assignment(costs);
    expect([...found].sort()).toEqual(Array.from({ length: n }, (_, i) => i));
    expect(price(found)).toBeCloseTo(Math.min(...[...permutations(n)].map(price)), 12);
  }
});

test("the score is 0 for equal sets in any order, symmetric, and between 0 and 2", () => {
  for (let round = 0; round < 20; round++) {
    const [R, S] = [embeddings(5), embeddings(5)];
    expect(beatScore(R, R.toReversed())).toBeCloseTo(0, 12);
    expect(beatScore(R, S)).toBeCloseTo(beatScore(S, R), 12);
    expect(beatScore(R, S)).toBeGreaterThan(0);
    expect(beatScore(R, S)).toBeLessThanOrEqual(2);
  }
  expect(beatScore([[1, 0]], [[-2, 0]])).toBeCloseTo(2, 12);
  expect(
    cosineCosts(
      [[1, 0]],
      [
        [0, 3],
        [5, 0],
      ],
    ),
  ).toEqual([[1, 0]]);
});

test("the probe with the least spread is chosen", () => {
  const alike = [
    [1, 0],
    [2, 0],
    [3, 0],
  ];
  const apart = [
    [1, 0],
    [0, 1],
    [-1, 0],
  ];
  expect(spread(alike)).toBeCloseTo(0, 12);
  // Six ordered pairs: four at distance 1, two at distance 2; three pairs of one with itself.
  expect(spread(apart)).toBeCloseTo(8 / 9, 12);
  expect(chooseProbes([apart, alike, apart], 2)).toEqual([1, 0]);
});

test("sets of different sizes are refused", () => {
  expect(() => beatScore(embeddings(2), embeddings(3))).toThrow(/2 x 2/);
  expect(() => beatScore([], [])).toThrow(/empty/);
});
