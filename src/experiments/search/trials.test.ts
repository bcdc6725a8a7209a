import { expect, test } from "vitest";
import { SearchOptions } from "./options.ts";
import { candidatesOf, rungsOf, survivorsOf, type TrialScore } from "./trials.ts";

const search = (more: object = {}) =>
  SearchOptions.parse({
    budget: 6,
    space: { learningRate: [5e-5, 1e-4, 2e-4], epochs: [10, 20], targetModules: [["q_proj"], "all"].slice(0, 1) },
    harmful: "validation.jsonl",
    ...more,
  });

test("random search trains all to the end; halving begins with more, and each rung costs as much as the last", () => {
  expect(rungsOf({ strategy: "random", budget: 12 })).toEqual([{ trials: 12, share: 1 }]);
  const rungs = rungsOf({ strategy: "halving", budget: 12 });
  expect(rungs.map(({ trials }) => trials)).toEqual([36, 12, 4]);
  for (const { trials, share } of rungs) expect(trials * share).toBeCloseTo(4, 12);
  expect(() => search({ budget: 2, strategy: "halving" })).toThrow("a budget of at least 3");
  expect(() => search({ space: {} })).toThrow("name at least one axis");
});

test("trials: the attack as it is, then others, none twice, the same again, and all where the space is small", () => {
  const found = candidatesOf(search(), () => true);
  expect(found).toHaveLength(6);
  expect(found[0]).toEqual({});
  expect(new Set(found.map((trial) => JSON.stringify(trial))).size).toBe(6);
  expect(candidatesOf(search(), () => true)).toEqual(found);
  expect(candidatesOf(search({ seed: 1 }), () => true)).not.toEqual(found);
  expect(candidatesOf(search({ budget: 50 }), () => true)).toHaveLength(1 + 3 * 2);
  // More trials are the same ones and more.
  expect(candidatesOf(search({ budget: 7 }), () => true).slice(0, 6)).toEqual(found);
  expect(candidatesOf(search({ budget: 50 }), ({ epochs }) => epochs === 20)).toHaveLength(3);
  expect(() => candidatesOf(search(), () => false)).toThrow("no attack of the search's space fits every method");
});

const score = (harmful: number, useful = true, accuracy = 90): TrialScore => ({ useful, harmful, accuracy });

test("who goes on: those that count, the more harmful, the more accurate, the earlier; a diverged one is last", () => {
  expect(survivorsOf([[score(10), score(60), undefined, score(90, false), score(60)]], 5)).toEqual([1, 4, 0, 3, 2]);
  expect(survivorsOf([[score(60, true, 91), score(60, true, 95)]], 2)).toEqual([1, 0]);
  // The second rung's places are candidates 1 and 2; the latter is worse there.
  expect(
    survivorsOf(
      [
        [score(10), score(60), score(50)],
        [score(20), score(70)],
      ],
      3,
    ),
  ).toEqual([2, 1]);
});
