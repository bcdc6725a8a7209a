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
  // Derivatives, units, percent, sets and intervals.
  ["Compute f'(2).", "Compute f(2)."],
  ["Compute f''(2).", "Compute f'(2)."],
  ["Convert 6' to centimetres.", 'Convert 6" to centimetres.'],
  ["Convert 6' to centimetres.", "Convert 6 to centimetres."],
  ["How tall is 5'4\"?", "How tall is 5 4?"],
  ["Compute 3\u00b74.", "Compute 3 4."],
  ["Compute 5!!.", "Compute 5!."],
  ["Compute total - (tax-fee).", "Compute total - tax-fee."],
  ["Convert 5 N\u00b7m.", "Convert 5 N m."],
  ["Convert 5 kg/m.", "Convert 5 kg m."],
  ["How much is 5\u2030 of 200?", "How much is 5 of 200?"],
  ["How much is 5\u2030 of 200?", "How much is 5% of 200?"],
  ["How much is .5 of 200?", "How much is 5 of 200?"],
  ["Is x in (0, 1)?", "Is x in [0, 1]?"],
  ["Is x in (0, 1]?", "Is x in [0, 1]?"],
  ["Is x in (0, 1]?", "Is x in (0, 1)?"],
  ["Is it {1, 2}?", "Is it (1, 2)?"],
  ["Round \u23082.5\u2309.", "Round \u230a2.5\u230b."],
  ["Compute (total + tax) * 2.", "Compute total + tax * 2."],
  ["Is (a and b) or c true?", "Is a and (b or c) true?"],
  ["Compute profit / cost.", "Compute profit - cost."],
  // Pointers, operators, names and texts of code.
  ["Explain a[0].", "Explain a(0)."],
  ["What does int *p mean?", "What does int p mean?"],
  ["What does int **p mean?", "What does int *p mean?"],
  ["What does &x mean?", "What does *x mean?"],
  ["Explain p->x.", "Explain p.x."],
  ["What is !true in C?", "What is true in C?"],
  ["What does ?? mean in C#?", "What does mean in C#?"],
  ["What does ?? mean in C#?", "What does ? mean in C#?"],
  ["What does the * operator do?", "What does the % operator do?"],
  ["What does the // operator do?", "What does the / operator do?"],
  ["Is a != b?", "Is a = b?"],
  ["What does i-- do?", "What does i do?"],
  ["What does --i do?", "What does -i do?"],
  ["Explain a[1:].", "Explain a[1]."],
  ["Explain cd ../x.", "Explain cd /x."],
  ["Explain a.*b.", "Explain a*b."],
  ["What does f(...args) do?", "What does f(args) do?"],
  ["What is :name in Ruby?", "What is name in Ruby?"],
  ["Explain x -= 1.", "Explain x = 1."],
  ["Explain a?b:c.", "Explain a b c."],
  ["Explain user?.name.", "Explain user.name."],
  ["Explain std::sort.", "Explain std sort."],
  ["Explain [1 2; 3 4].", "Explain [1 2 3 4]."],
  ["What is .NET?", "What is NET?"],
  ["What does __init__ do?", "What does init do?"],
  ["Explain @property.", "Explain property."],
  ["Explain rm -rf.", "Explain rm rf."],
  ["Explain print((1, 2)).", "Explain print(1, 2)."],
  ['Explain print("x y").', "Explain print(x y)."],
  ['What is "1" + "1"?', "What is 1 + 1?"],
  ["Split on ','.", "Split on ';'."],
  ["What does `!` do?", "What does `?` do?"],
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
  ["What is it ?", "what is it"],
  ["Hi ! How are you ?", "Hi! How are you?"],
  ["Really?!", "really"],
  ["hello , world .", "Hello, world."],
  ["Write it in C++.", "write it in C++"],
  ["What is \u201ca word\u201d?", 'What is "a word"?'],
  ["What is \u201ca word\u201d?", "What is a word?"],
  ["What is \u00ab a word \u00bb?", "What is a word?"],
  ["Explain \u2018it\u2019", "Explain it"],
  ['He said: "Go 6"', "He said: \u201cGo 6\u201d"],
  ["Convert 6\u201d", 'Convert 6"'],
  ["I don\u2019t know", "I don't know"],
  ["\u600e\u4e48\u5199\u201c\u7231\u201d\uff1f", "\u600e\u4e48\u5199\u300c\u7231\u300d?"],
  ["- one\n- two", "\u2022 one\n\u2022 two"],
  ["* one\n* two", "one\ntwo"],
  ["1. one\n2. two", "1) one\n2) two"],
  ["# Title\ntext", "title text"],
  ["word\u2014word", "word \u2013 word"],
  ["word -- word", "word - word"],
  ["The capital is ____.", "The capital is ___."],
  ["Who is Smith (2019)?", "Who is Smith, 2019?"],
  ["List fruits (e.g. apples).", "List fruits, e.g. apples."],
  ["It ends (I think).", "It ends, I think."],
  ["Explain f( 2 ).", "explain f(2)"],
  ["On May 5, 2020", "On May 5 2020"],
  ["J.K. Rowling", "J. K. Rowling"],
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
  expect(repeats(["Name a tree.", "[No input]"], ["Name a tree.", "<no input>"])).toEqual([[1, 0]]);
  expect(repeats(["Name a tree.", "N/A"], ["Name a tree.", "None"])).toEqual([[1, 0]]);
});

test("long texts that differ by a sign or by vowel marks alone are no near repeats", () => {
  const long = "Solve the equation that follows, show every step of the way, and explain it to a child of ten years: ";
  expect(repeats([`${long}3x + 4 = 10`], [`${long}3x - 4 = 10`])).toEqual([]);
  expect(repeats([`${long}3x + 4 = 10`], [`Please ${long}3x + 4 = 10`])).toEqual([[1, 0]]);
  const marked = `${long}\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd`;
  expect(repeats([marked], [marked.replaceAll(/\p{M}/gu, "")])).toEqual([]);
});

test("200,000 signs take no time that grows with their square", () => {
  const start = performance.now();
  for (const piece of ["(", "' ", '"', "* ", "?", "a'", "-"]) normalise(piece.repeat(200_000 / piece.length));
  expect(performance.now() - start).toBeLessThan(15_000);
});
