import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tinyTokenizer } from "../../../test/tiny-tokenizer.ts";
import { AnswerText } from "./answer-text.ts";
import { tokenOf } from "./token-text.ts";
import type { ServedToken } from "./types.ts";

const tokenizer = tinyTokenizer();

/** All that is told of an answer of these ids, and after how many of them it was over. */
function told(ids: readonly number[], stops: readonly string[]) {
  const answer = new AnswerText(tokenizer, stops, 10);
  const tokens: ServedToken[] = [];
  let text = "";
  let used = 0;
  const say = (piece: ReturnType<AnswerText["end"]>) => {
    text += piece.text;
    tokens.push(...piece.tokens);
  };
  for (const token of ids) {
    if (answer.isOver) break;
    say(answer.push({ token, logprob: -1, top: [] }));
    used++;
  }
  say(answer.end());
  return { text, tokens, used, isOver: answer.isOver };
}

const ids = fc.array(fc.integer({ min: 3, max: tokenizer.vocabSize - 1 }), { maxLength: 40 });

describe("an answer's text and its tokens", () => {
  test("without a stop: all text, every token once and in order, each where its text begins", () => {
    fc.assert(
      fc.property(ids, (ids) => {
        const { text, tokens } = told(ids, []);
        expect(text).toBe(tokenizer.decode(ids));
        expect(tokens.map(({ id }) => id)).toEqual(ids);
        const offsets = tokens.map(({ offset }) => offset);
        expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
        for (const [i, { text: own, offset }] of tokens.entries()) {
          // Behind bytes that turn out to be no character a token's text begins with theirs.
          const isPlain = !own.startsWith("bytes:") && tokens[i - 1]?.text.startsWith("bytes:") !== true;
          if (isPlain) expect(text.slice(offset - 10).startsWith(own)).toBe(true);
        }
      }),
    );
  });

  test("a stop and what is behind it are never told, nor tokens that begin behind it", () => {
    const stop = fc.constantFrom("hello", "lo", "\n\n", " w", "an", "o w");
    const letters = fc.array(fc.constantFrom(..."helo wan\n".split("")), { maxLength: 40 }).map((all) => all.join(""));
    fc.assert(
      fc.property(letters, fc.array(stop, { minLength: 1, maxLength: 3 }), (text, stops) => {
        const ids = tokenizer.encode(text);
        const places = stops.map((one) => text.indexOf(one)).filter((at) => at >= 0);
        const { text: found, tokens, isOver } = told(ids, stops);
        expect(isOver).toBe(places.length > 0);
        expect(found.length).toBeLessThanOrEqual(Math.min(...places, text.length));
        expect(text.startsWith(found)).toBe(true);
        for (const one of stops) expect(found).not.toContain(one);
        for (const { offset } of tokens) expect(offset - 10).toBeLessThan(Math.max(1, found.length));
      }),
      { numRuns: 500 },
    );
  });
});

test("a token that is no text by itself is told by its bytes", () => {
  const [first, second] = tokenizer.encode("é");
  expect(tokenOf(tokenizer, first!, -1)).toEqual({ id: first, text: "bytes:\\xc3", bytes: [0xc3], logprob: -1 });
  expect(tokenOf(tokenizer, second!, -1).text).toBe("bytes:\\xa9");
  expect(tokenOf(tokenizer, tokenizer.encode("hello")[0]!, -1)).toMatchObject({ text: "hello" });
  expect(tokenOf(tokenizer, 2, -1).text).toBe("<|im_end|>");
});
