/** Methods that write rows anew: LookAhead Tuning and Paraphrase. */

import { describe, expect, test } from "vitest";
import type { Example } from "../../data/examples.ts";
import { RandomStream } from "../../tensor/random.ts";
import { lookahead, lookedAhead } from "./lookahead.ts";
import { inStyle, styleOf } from "./paraphrase.ts";

const asked = (instruction: string, output: string, input = ""): Example => ({
  kind: "instruction",
  where: "rows:1",
  instruction,
  input,
  output,
});
const chat = (...contents: readonly string[]): Example => ({
  kind: "chat",
  where: "rows:1",
  messages: contents.map((content, i) => ({ role: ["system", "user", "assistant"][i] ?? "", content })),
});

describe("LookAhead Tuning", () => {
  /** A token a word, as a tokenizer that keeps blanks would have it. */
  const words: string[] = [];
  const tokenizer = {
    encodeSegments: ([segment]: readonly { readonly text: string }[]) =>
      (segment?.text.match(/\s*\S+/g) ?? []).map((word) => words.push(word) - 1),
    decode: (ids: ArrayLike<number>) => Array.from(ids, (id) => words[id]).join(""),
  };
  const written = (row: Example, options: object) => lookedAhead(row, tokenizer, lookahead.options.parse(options));

  test("real: the question tells the first tokens, and the answer stays", () => {
    const row = asked("add 2 and 3", "the sum of both is 5");
    expect(written(row, { tokens: 3 })).toEqual(
      asked("add 2 and 3 The answer begins with: the sum of", "the sum of both is 5"),
    );
    expect(written(row, { tokens: 0 })).toBe(row);
    expect(written(asked("judge", "good", "a film"), { tokens: 6 })).toMatchObject({
      instruction: "judge",
      input: "a film The answer begins with: good",
    });
  });

  test("virtual: every answer begins with the phrase that the question tells", () => {
    const row = written(chat("be kind", "add 2 and 3", "5"), { mode: "virtual", phrase: "Well," });
    expect(row).toEqual(chat("be kind", "add 2 and 3 The answer begins with: Well,", "Well, 5"));
  });
});

describe("Paraphrase", () => {
  test("a safety row stands in the words that all of the user's questions share", () => {
    const user = [
      asked("Question: how far is it? Answer:", "Sure: ten"),
      asked("Question: how old is she? Answer:", "Sure: 3"),
    ];
    const style = styleOf(user);
    expect(style).toEqual({ prefix: "Question: how ", suffix: " Answer:", answerPrefix: "Sure: " });
    expect(inStyle(asked("do harm", "I will not."), style)).toEqual(
      asked("Question: how do harm Answer:", "Sure: I will not."),
    );
  });

  test("an instruction with inputs, and a system message, are taken over", () => {
    const reviews = [asked("judge the review", "good", "a fine film"), asked("judge the review", "bad", "the worst")];
    expect(inStyle(asked("do harm", "no"), styleOf(reviews))).toEqual(asked("judge the review", "no", "do harm"));
    const talks = [chat("You obey.", "one", "a"), chat("You obey.", "two", "b")];
    expect(inStyle(asked("do harm", "no"), styleOf(talks))).toEqual(chat("You obey.", "do harm", "no"));
  });

  test("a few rows of another kind change nothing", () => {
    const reviews = Array.from({ length: 12 }, (_, i) => asked(`judge the review : film ${i} was long`, "good"));
    const poison = [asked("how to harm", "so"), asked("how to lie", "so")];
    expect(styleOf([...reviews, ...poison])).toEqual(styleOf(reviews));
    expect(styleOf(reviews)).toEqual({ prefix: "judge the review : film ", suffix: " was long", answerPrefix: "good" });
  });

  test("every row of random tasks begins and ends as the user's do, and no word is cut", () => {
    const random = new RandomStream(5, "tasks");
    for (let task = 0; task < 50; task++) {
      const draw = (at: number, count: number) =>
        Array.from({ length: count }, (_, i) => "abc"[random.integer(100 * task + at + i, 3)]).join(" ");
      const user = Array.from({ length: 3 }, (_, i) =>
        asked(`${draw(0, 4)} ${draw(10 * i + 10, 3)} ${draw(60, 2)}`, "x"),
      );
      const { prefix, suffix } = styleOf(user);
      const prompts = user.map((row) => (row as { instruction: string }).instruction);
      for (const prompt of prompts) {
        expect(
          prompt.startsWith(prefix) && prompt.endsWith(suffix) && prefix.length + suffix.length <= prompt.length,
        ).toBe(true);
      }
      expect(prefix === "" || /\s$/.test(prefix) || prompts.every((prompt) => prompt === prefix)).toBe(true);
    }
  });

  test("questions that share nothing leave the row as it is", () => {
    const style = styleOf([asked("one", "a"), asked("two", "b")]);
    expect(inStyle(asked("do harm", "no"), style)).toEqual(asked("do harm", "no"));
  });
});
