import { expect, test } from "vitest";
import { findDuplicates } from "./duplicates.ts";
import { normalise } from "./normalise.ts";

test.each([
  ["What is 7 + 2?", "What is 7 - 2?"],
  ["What is 7 * 2?", "What is 7 / 2?"],
  ["What is -5 + 3?", "What is 5 + 3?"],
  ["Is 3 < 4?", "Is 3 > 4?"],
  ["Compute 10\u00b2.", "Compute 102."],
  ["Compute 2 * (3 + 4).", "Compute 2 * 3 + 4."],
  ["Compute (2 + 3) * 4.", "Compute 2 + 3 * 4."],
  ["What is 5!?", "What is 5?"],
  ["What is 1.5 times 2?", "What is 15 times 2?"],
  ["What is 20% of 50?", "What is 20 of 50?"],
  ["Write it in C.", "Write it in C#."],
  ["Write it in C.", "Write it in C++."],
  ["Solve x^2 = a - b.", "Solve x^2 = a + b."],
  ["It costs $5.", "It costs \u20ac5."],
  ["How does \u{1f600} feel?", "How does \u{1f622} feel?"],
  ["How do I feel? \u{1f600}", "How do I feel?"],
  ["\u0915\u093f", "\u0915\u0940"],
  ["\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u05e9\u05b7\u05dc\u05d5\u05bc\u05dd"],
  ["\u0643\u064e\u062a\u064e\u0628\u064e", "\u0643\u064f\u062a\u0650\u0628\u064e"],
])("%j is not %j", (a, b) => expect(normalise(a)).not.toBe(normalise(b)));

test.each([
  ["What is 7 - 2?", "what is 7-2"],
  ["What is 7 \u2212 2?", "What is 7 - 2"],
  ["a well-known e-mail", "A well known e mail."],
  ["Say: (yes, no)!", "say yes no"],
  ["10\u00b2", "10^2"],
  ["\u2764\ufe0f", "\u2764"],
  ["use `x`", "Use x"],
  ["tea and/or coffee - please", "tea and or coffee, please"],
  ["COVID-19", "covid 19"],
  ["the **bold** word", "The bold word"],
])("%j is %j", (a, b) => expect(normalise(a)).toBe(normalise(b)));

const repeats = (...questions: readonly (readonly [string, string?])[]) =>
  findDuplicates(questions.map(([instruction, input = ""]) => ({ instruction, input }))).map(({ index, of }) => [
    index,
    of,
  ]);

test("a question is its instruction and its input", () => {
  expect(repeats(["Translate to French.", "Good morning"], ["Translate to German.", "Good morning"])).toEqual([]);
  expect(repeats(["Translate to French.", "Good morning"], ["translate to French", "good morning!"])).toEqual([[1, 0]]);
  expect(repeats(["Translate to French.", "Good morning"], ["Translate to French.", "Good night"])).toEqual([]);
  // Said in one piece, it is the same.
  expect(repeats(["Translate to French.\n\nGood morning"], ["Translate to French.", "Good morning"])).toEqual([[1, 0]]);
  expect(repeats(["Translate to French.", "Good morning"], ["Translate to French.\n\nGood morning"])).toEqual([[1, 0]]);
});

test("what stands for no input is none", () => {
  expect(repeats(["Name a tree.", "Noinput"], ["Write of the sea.", "<No Input>"], ["Name a tree."])).toEqual([[2, 0]]);
  expect(repeats(["Name a tree.", "N/A"], ["Name a tree.", "None"])).toEqual([[1, 0]]);
});

test("long texts that differ by a sign or by vowel marks alone are no near repeats", () => {
  const long = "Solve the equation that follows, show every step of the way, and explain it to a child of ten years: ";
  expect(repeats([`${long}3x + 4 = 10`], [`${long}3x - 4 = 10`])).toEqual([]);
  expect(repeats([`${long}3x + 4 = 10`], [`Please ${long}3x + 4 = 10`])).toEqual([[1, 0]]);
  const marked = `${long}\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd`;
  expect(repeats([marked], [marked.replaceAll(/\p{M}/gu, "")])).toEqual([]);
});
