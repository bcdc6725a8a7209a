import { expect, test } from "vitest";
import { RandomStream } from "../../../tensor/random.ts";
import { bestOf, drawSubstitutions, illegalTokens, rankingSlopes, substitute, topCandidates } from "./search.ts";

test("candidates are the legal tokens with the lowest slope, lowest first, the lower id on ties", () => {
  const slopes = [
    [0, -3, -2, -5, 1],
    [0, 0, 0, 0, 0],
  ];
  expect(topCandidates(slopes, new Set([3]), 3)).toEqual([
    [1, 2, 0],
    [0, 1, 2],
  ]);
  expect(topCandidates(slopes, new Set([0, 1, 2]), 3)).toEqual([
    [3, 4],
    [3, 4],
  ]);
});

test("the leak adds the victim's slope, except where the victim was not differentiated", () => {
  const slopes = [[1, 2]];
  const victim = [[10, -20]];
  const plain = { lambda: 0.1, referenceGradientLeak: false };
  expect(rankingSlopes(slopes, victim, plain)).toBe(slopes);
  expect(
    rankingSlopes(slopes, victim, { ...plain, referenceGradientLeak: true }).map((row) => [...Array.from(row)]),
  ).toEqual([[11, -18]]);
  expect(rankingSlopes(slopes, victim, { lambda: 1, referenceGradientLeak: true })).toBe(slopes);
});

test("substitutions are different, and each changes one position", () => {
  const tokens = [0, 1, 2, 3];
  const candidates = tokens.map(() => [7, 8, 9]);
  const random = new RandomStream(1, "virus");
  const drawn = drawSubstitutions(candidates, 10, random, 0);
  expect(new Set(drawn.map(String)).size).toBe(10);
  for (const change of drawn) {
    const changed = substitute(tokens, candidates, change);
    expect(changed.filter((token, i) => token !== tokens[i])).toEqual([candidates[change[0]]![change[1]]]);
  }
  expect(drawSubstitutions(candidates, 10, random, 0)).toEqual(drawn);
  expect(drawSubstitutions(candidates, 10, random, 1)).not.toEqual(drawn);
  // Fewer than asked for: each of them once.
  const all = drawSubstitutions([[7], [8, 9]], 10, random, 0).map(String);
  expect(all.sort()).toEqual(["0,0", "1,0", "1,1"]);
});

test("the best is the first of the lowest, never one without a value", () => {
  expect(bestOf([3, 1, 1, 2])).toBe(1);
  expect(bestOf([2, Number.NaN, 2])).toBe(0);
});

test("legal tokens are printable and not special", () => {
  const texts = ["<bos>", "word", "two\nlines", "é", " blank", ""];
  const tokenizer = {
    vocabSize: texts.length,
    isSpecial: (id: number) => id === 0,
    decode: ([id]: ArrayLike<number> & Iterable<number>) => texts[id ?? 0] ?? "",
  };
  expect([...illegalTokens(tokenizer as never)]).toEqual([0, 2, 3, 5]);
});
