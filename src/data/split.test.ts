import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RandomStream } from "../tensor/random.ts";
import { findDuplicates as findQuestions } from "./duplicates.ts";
import type { Example } from "./examples.ts";
import { normalise } from "./normalise.ts";
import { disjointSets, hashExamples, splitPool } from "./split.ts";

const example = (instruction: string, line = 1): Example => ({
  kind: "instruction",
  where: `f:${line}`,
  instruction,
  input: "",
  output: "a",
});

const findDuplicates = (texts: readonly string[], threshold?: number) =>
  findQuestions(
    texts.map((instruction) => ({ instruction, input: "" })),
    threshold,
  );

describe("duplicates", () => {
  test("case, punctuation, blanks and compatibility forms do not matter", () => {
    expect(normalise("  Hello,\tWORLD!\n ﬁne ")).toBe("hello world fine");
    expect(findDuplicates(["How do I bake bread?", "how do i  bake bread", "How do I bake a cake?"])).toEqual([
      { index: 1, of: 0, similarity: 1 },
    ]);
  });

  test("a small change is a near duplicate", () => {
    const [found, ...others] = findDuplicates([
      "What is the best way to learn to play the piano at home?",
      "What is the best way to paint a wooden fence in the rain?",
      "What is the best way to learn to play the piano at home today?",
    ]);
    expect(found).toMatchObject({ index: 2, of: 0 });
    expect(found?.similarity).toBeLessThan(1);
    expect(others).toEqual([]);
  });

  test("finds the pairs that comparing everything with everything finds", () => {
    const shingles = (text: string) => {
      const own = normalise(text);
      const count = Math.max(1, own.length - 4);
      return new Set(Array.from({ length: count }, (_, at) => own.slice(at, at + 5)));
    };
    const similarity = (a: string, b: string) => {
      const [x, y] = [shingles(a), shingles(b)];
      const common = [...x].filter((shingle) => y.has(shingle)).length;
      return common / (x.size + y.size - common);
    };
    const words = fc.array(fc.constantFrom("red", "green", "blue", "tall", "tree", "house"), { maxLength: 7 });
    fc.assert(
      fc.property(fc.array(words, { maxLength: 12 }), fc.constantFrom(0.3, 0.5, 0.8, 1), (lists, threshold) => {
        const texts = lists.map((list) => list.join(" "));
        const gone = new Set<number>();
        for (let i = 0; i < texts.length; i++) {
          for (let j = 0; j < i; j++) {
            if (!gone.has(j) && similarity(texts[i] ?? "", texts[j] ?? "") >= threshold) gone.add(i);
          }
        }
        expect(new Set(findDuplicates(texts, threshold).map(({ index }) => index))).toEqual(gone);
      }),
      { numRuns: 500, seed: 1 },
    );
  });
});

describe("disjoint sets", () => {
  test("later sets give way to earlier ones; repetitions within a set stay", () => {
    const { test: testSet, train } = disjointSets({
      test: [example("Where is the river?", 1)],
      train: [example("where is the RIVER", 2), example("Who is there?", 3), example("Who is there?", 4)],
    });
    expect(testSet.examples).toHaveLength(1);
    expect(train.examples.map(({ where }) => where)).toEqual(["f:3", "f:4"]);
    expect(train.removed).toEqual([{ where: "f:2", duplicateOf: "f:1", similarity: 1 }]);
    expect(train.sha256).toBe(hashExamples(train.examples));
  });

  test("an empty question repeats only an empty one", () => {
    const { b } = disjointSets({ a: [example("?!")], b: [example("..."), example("word")] });
    expect(b.examples.map((kept) => kept.kind === "instruction" && kept.instruction)).toEqual(["word"]);
  });

  test("the hash is of contents and order, not of places", () => {
    expect(hashExamples([example("a", 1), example("b", 2)])).toBe(hashExamples([example("a", 8), example("b", 9)]));
    expect(hashExamples([example("a"), example("b")])).not.toBe(hashExamples([example("b"), example("a")]));
  });
});

describe("splitting a pool", () => {
  const pool = Array.from({ length: 40 }, (_, i) =>
    example(`question ${"abcdefghij".repeat(1 + (i % 4))} ${i * 7919}`, i),
  );

  test("sets of the wished sizes share no question; the seed decides the draw", () => {
    const split = (seed: number) =>
      splitPool(
        [...pool, example("QUESTION abcdefghij 0", 99)],
        { attacker: 10, test: 5 },
        new RandomStream(seed, "s"),
      );
    const { sets, removed } = split(1);
    expect(removed.some(({ where }) => where === "f:99")).toBe(true);
    const all = [...sets.attacker.examples, ...sets.test.examples];
    expect(all).toHaveLength(15);
    expect(new Set(all.map(({ where }) => where)).size).toBe(15);
    const { test: rest } = disjointSets({ attacker: sets.attacker.examples, test: sets.test.examples });
    expect(rest.removed).toEqual([]);
    expect(split(1).sets.test.sha256).toBe(sets.test.sha256);
    expect(split(2).sets.test.sha256).not.toBe(sets.test.sha256);
  });

  test("a pool that is too small says so", () => {
    expect(() => splitPool(pool, { attacker: 39, test: 2 }, new RandomStream(1, "s"))).toThrow(
      /attacker 39 \+ test 2; found .* among 40 rows/,
    );
  });
});
