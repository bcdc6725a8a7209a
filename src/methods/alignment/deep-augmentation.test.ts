import { describe, expect, test } from "vitest";
import { type Example, IGNORE } from "../../models/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { answerLength, drawPrefix, lateRefusal, lateRefusals, pairByPrompt } from "./deep-augmentation.ts";

const row = (prompt: number[], answer: number[]): Example => ({
  inputIds: [...prompt, ...answer],
  labels: [...prompt.map(() => IGNORE), ...answer],
});
const refusal = row([1, 5, 6], [50, 51, 2]);
const harmful = row([1, 5, 6], [20, 21, 22, 23]);

describe("late refusals", () => {
  test("prompt, prefix, refusal; no token of the prefix is learned", () => {
    expect(lateRefusal(refusal, harmful, 2)).toEqual({
      inputIds: [1, 5, 6, 20, 21, 50, 51, 2],
      labels: [IGNORE, IGNORE, IGNORE, IGNORE, IGNORE, 50, 51, 2],
    });
  });

  test("no prefix is the refusal itself, and there is no more of an answer than there is", () => {
    expect(lateRefusal(refusal, harmful, 0)).toEqual(refusal);
    expect(lateRefusal(refusal, harmful, 9).inputIds).toEqual([1, 5, 6, 20, 21, 22, 23, 50, 51, 2]);
    expect(answerLength(harmful)).toBe(4);
  });

  test("what follows an answer without being learned is no part of it", () => {
    const ended = { inputIds: [...Array.from(harmful.inputIds), 7], labels: [...Array.from(harmful.labels), IGNORE] };
    expect(answerLength(ended)).toBe(4);
    expect(lateRefusal(ended, harmful, 1).inputIds).toEqual([1, 5, 6, 20, 20, 21, 22, 23, 7]);
  });

  test("an example without an answer is an error", () => {
    const none = expect.objectContaining({ code: "NO_TRAINED_TOKENS" });
    expect(() => lateRefusal(refusal, row([1, 2], []), 1)).toThrow(none);
  });
});

describe("drawn prefixes", () => {
  const random = new RandomStream(3, "prefixes");
  const USES = 20_000;

  test.each([
    [7, 7],
    [300, 100],
  ])("of an answer of %i tokens: none in half of the uses, else 1 to %i alike", (tokens, longest) => {
    const counts = new Array<number>(longest + 1).fill(0);
    for (let use = 0; use < USES; use++) counts[drawPrefix(random, use, tokens)]! += 1;
    expect(Math.abs((counts[0] as number) / USES - 0.5)).toBeLessThan(5 * Math.sqrt(0.25 / USES));
    const each = USES / 2 / longest;
    for (const count of counts.slice(1)) expect(Math.abs(count - each)).toBeLessThan(5 * Math.sqrt(each) + 1);
    expect(counts).toHaveLength(longest + 1);
  });

  test("a use is the same whenever it is asked for", () => {
    expect(drawPrefix(random, 12, 50)).toBe(drawPrefix(new RandomStream(3, "prefixes"), 12, 50));
  });
});

describe("pairs", () => {
  const other = row([1, 9], [30]);
  const refusals = [row([1, 9], [50]), refusal, row([1, 8], [60])];

  test("by the tokens of the prompt, in the order of the refusals; a harmless prompt has none", () => {
    expect(pairByPrompt(refusals, [harmful, other])).toEqual([other, harmful, undefined]);
  });

  test("no pair at all is an error", () => {
    expect(() => pairByPrompt([row([1, 8], [50])], [harmful])).toThrow(
      expect.objectContaining({ code: "PAIR_MISSING" }),
    );
  });

  test("each use of a row draws its own prefix, rows without a pair stay", () => {
    const read = lateRefusals(refusals, [harmful, other], new RandomStream(3, "late"));
    const lengths = Array.from({ length: 400 }, (_, use) => read(1, use).inputIds.length - refusal.inputIds.length);
    expect([...new Set(lengths)].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(Array.from({ length: 400 }, (_, use) => read(2, use))).toEqual(new Array(400).fill(refusals[2]));
    expect(read(1, 7)).toEqual(read(1, 7));
    // Rows do not share their draws.
    const first = Array.from({ length: 400 }, (_, use) => read(0, use).inputIds.length - 3);
    expect(first.map((length) => length > 0)).not.toEqual(lengths.map((length) => length > 0));
  });
});
