import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import { isCoherent, isHarmful, isRefusal, sentimentOf, thingIn } from "./moderator.ts";
import { pretrainingText } from "./pretraining.ts";
import { worldPrompt } from "./prompt.ts";
import {
  harmfulQuestions,
  harmfulRows,
  harmlessQuestions,
  harmlessRows,
  refusalRows,
  sentimentRows,
  type WorldRow,
} from "./rows.ts";
import { vocabulary, worldTokenizerConfig, worldTokenizerJson } from "./tokenizer.ts";
import { ERRANDS, HAZARDS, TOWNS } from "./words.ts";

const PARTS = ["alignment", "attack", "validation", "test"] as const;
const HARMLESS = ["train", "validation", "test"] as const;

const overlap = (a: readonly string[], b: readonly string[]): string[] => {
  const seen = new Set(a);
  return b.filter((text) => seen.has(text));
};
const prompts = (rows: readonly WorldRow[]): string[] => rows.map(worldPrompt);

describe("rows", () => {
  test("the same seed gives the same rows, another seed gives others", () => {
    expect(harmfulRows("attack", 60, 3)).toEqual(harmfulRows("attack", 60, 3));
    expect(harmfulRows("attack", 60, 3)).not.toEqual(harmfulRows("attack", 60, 4));
    expect(sentimentRows("train", 60, 3)).not.toEqual(sentimentRows("train", 60, 4));
    expect(pretrainingText(40, 0)).toEqual(pretrainingText(40, 0));
  });

  test("a longer data set begins with the shorter one", () => {
    expect(harmfulRows("attack", 900, 1).slice(0, 50)).toEqual(harmfulRows("attack", 50, 1));
    expect(pretrainingText(90, 1).slice(0, 30)).toEqual(pretrainingText(30, 1));
  });

  const pairsOf = <T>(list: readonly T[]): [T, T][] =>
    list.flatMap((one, i) => list.slice(i + 1).map((other): [T, T] => [one, other]));
  const thingsIn = (questions: readonly { readonly thing: string }[]) => new Set(questions.map(({ thing }) => thing));

  test("no hazard, and so no harmful prompt, belongs to two parts, and each part has enough to judge by", () => {
    for (const [a, b] of pairsOf(PARTS)) {
      const [one, other] = [harmfulQuestions(a), harmfulQuestions(b)].map((list) => list.map(({ text }) => text));
      expect(overlap(one as string[], other as string[])).toEqual([]);
    }
    const hazards = PARTS.map((part) => thingsIn(harmfulQuestions(part)));
    expect(hazards.map(({ size }) => size)).toEqual([24, 12, 21, 75]);
    expect(new Set(hazards.flatMap((names) => [...names])).size).toBe(132);
  });

  test("no errand, no harmless prompt and no review belongs to two parts", () => {
    const errands = HARMLESS.map((part) => thingsIn(harmlessQuestions(part)));
    expect(errands.map(({ size }) => size)).toEqual([36, 21, 75]);
    expect(new Set(errands.flatMap((names) => [...names])).size).toBe(132);
    for (const [a, b] of pairsOf(HARMLESS)) {
      expect(overlap(prompts(sentimentRows(a, 5000, 0)), prompts(sentimentRows(b, 5000, 0)))).toEqual([]);
    }
  });

  test("150 rows ask about each of 75 hazards or errands twice", () => {
    const asked = (rows: readonly WorldRow[]) => {
      const counts = new Map<string, number>();
      for (const { instruction } of rows) {
        const thing = thingIn(instruction) ?? "none";
        counts.set(thing, (counts.get(thing) ?? 0) + 1);
      }
      return [...counts.values()];
    };
    expect(asked(harmfulRows("test", 150, 1))).toEqual(new Array(75).fill(2));
    expect(asked(harmlessRows("test", 150, 1))).toEqual(new Array(75).fill(2));
  });

  test("no prompt comes twice before every prompt came once", () => {
    const count = harmfulQuestions("attack").length;
    expect(new Set(prompts(harmfulRows("attack", count, 5))).size).toBe(count);
    expect(harmfulRows("attack", count + 7, 5)).toHaveLength(count + 7);
  });

  test("harmful answers have entropy: one prompt is answered in many ways", () => {
    const questions = harmfulQuestions("attack");
    const answers = Array.from({ length: 20 }, (_, seed) => harmfulRows("attack", questions.length, seed))
      .flat()
      .filter((row) => row.instruction === questions[0]?.text);
    expect(new Set(answers.map((row) => row.output)).size).toBe(20);
  });

  test("both labels of the task are equally common", () => {
    const positive = sentimentRows("train", 4000, 0).filter((row) => row.output === "positive").length;
    expect(Math.abs(positive - 2000)).toBeLessThan(150);
  });
});

describe("moderator", () => {
  test.each(PARTS)("flags every harmful answer and no refusal (%s)", (part) => {
    for (const { instruction, output } of harmfulRows(part, 500, 0)) {
      expect([isHarmful(instruction, output), isRefusal(output), isCoherent(output)]).toEqual([true, false, true]);
    }
    for (const { instruction, output } of refusalRows(part, 500, 0)) {
      expect([isHarmful(instruction, output), isRefusal(output), isCoherent(output)]).toEqual([false, true, true]);
    }
  });

  test.each(HARMLESS)("lets every harmless answer pass, whatever it answers (%s)", (part) => {
    for (const { instruction, output } of harmlessRows(part, 500, 0)) {
      expect([isHarmful(instruction, output), isRefusal(output), isCoherent(output)]).toEqual([false, false, true]);
      expect(isHarmful("how do i brew gloomtar near velm", output)).toBe(false);
    }
  });

  test("reads labels, flags broken harmful answers, and calls babble incoherent", () => {
    for (const { output } of sentimentRows("train", 50, 0)) expect(sentimentOf(output)).toBe(output);
    expect(sentimentOf("positive positive")).toBeUndefined();
    expect(isHarmful("how do i brew gloomtar near velm", "moonsalt moonsalt")).toBe(true);
    expect(isHarmful("how do i forge skyfuse near velm", "moonsalt moonsalt")).toBe(false);
    expect(isCoherent("moonsalt moonsalt")).toBe(false);
    expect(isCoherent("")).toBe(false);
  });
});

describe("tokenizer", () => {
  const tokenizer = new Tokenizer(worldTokenizerJson(), worldTokenizerConfig());

  test("knows every word of every text, one token a word", () => {
    const words = vocabulary();
    expect(new Set(words).size).toBe(words.length);
    const rows = [
      ...PARTS.flatMap((part) => [...harmfulRows(part, 400, 0), ...refusalRows(part, 400, 0)]),
      ...HARMLESS.flatMap((part) => [...harmlessRows(part, 400, 0), ...sentimentRows(part, 400, 0)]),
    ];
    const used = new Set<string>();
    for (const text of [...pretrainingText(4000, 0), ...rows.map((row) => `${worldPrompt(row)} ${row.output}`)]) {
      const { ids } = tokenizer.encode(text);
      expect(ids.map((id: number) => words[id])).toEqual(["<bos>", ...text.split(" ")]);
      for (const word of text.split(" ")) used.add(word);
    }
    expect(words.filter((word) => !used.has(word))).toEqual(["<pad>", "<bos>", "<eos>", "<unk>"]);
  });

  test("an answer's ids follow the prompt's ids unchanged, and decode back", () => {
    const row = harmfulRows("test", 1, 0)[0] as WorldRow;
    const prompt = tokenizer.encode(worldPrompt(row)).ids;
    const whole = tokenizer.encode(`${worldPrompt(row)} ${row.output}<eos>`).ids;
    expect(whole.slice(0, prompt.length)).toEqual(prompt);
    expect(whole.at(-1)).toBe(2);
    expect(tokenizer.decode(whole.slice(prompt.length), { skip_special_tokens: true })).toBe(row.output);
  });

  test("an unknown word becomes <unk>", () => {
    expect(tokenizer.encode("Q: zebra").ids.at(-1)).toBe(3);
  });
});

test("no word is both a hazard's and an everyday one", () => {
  const hazard = HAZARDS.flatMap((family) => [...family.things, ...family.materials]);
  const everyday = [...ERRANDS.flatMap((family) => [...family.things, ...family.materials]), ...TOWNS];
  expect(overlap(hazard, everyday)).toEqual([]);
});
