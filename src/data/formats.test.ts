import { expect, test } from "vitest";
import { questionOf } from "./examples.ts";
import { readExamples } from "./formats.ts";
import { MAX_MESSAGES } from "./rows.ts";

const row = (values: Record<string, unknown>, line = 1) => ({ file: "f.jsonl", line, values });
const message = (role: string, content: string) => ({ role, content });

test.each([
  ["messages", { messages: [message("user", "q"), message("assistant", "a")] }],
  ["alpaca", { instruction: "q", input: "", output: "a" }],
  ["alpaca", { instruction: "q", output: "a" }],
  ["prompt-completion", { prompt: "q", completion: "a" }],
  ["prompt-response", { prompt: "q", response: "a", is_safe: true }],
])("%s is told by its columns", (format, values) => {
  const result = readExamples([row(values)]);
  expect(result.format).toBe(format);
  expect(result.examples.map((example) => questionOf(example).instruction)).toEqual(["q"]);
  expect(result.examples[0]?.where).toBe("f.jsonl:1");
});

test("unknown columns are named, with those that would do", () => {
  expect(() => readExamples([row({ question: "q", toString: "a" })])).toThrow(
    /prompt \+ completion.*found question, toString \(f\.jsonl:1\)/,
  );
  expect(() => readExamples([])).toThrow(/no rows/);
});

test("every bad row is listed by line, without its text", () => {
  const rows = [
    row({ prompt: "q", completion: "a" }, 1),
    row({ prompt: "secret" }, 2),
    row({ prompt: "secret", completion: 3 }, 5),
  ];
  expect(() => readExamples(rows)).toThrow(
    /2 faults:\s+f\.jsonl:2 COLUMN_MISSING.*completion.*\s+f\.jsonl:5 COLUMN_NOT_TEXT/,
  );
  expect(() => readExamples(rows)).not.toThrow(/secret/);
  // The first row is one of them: it does not decide how the others are written.
  expect(() => readExamples(rows.toReversed())).toThrow(/2 faults/);
});

test("conversations: roles, texts and their number are checked", () => {
  const turns = (count: number) => [row({ messages: new Array(count).fill(message("user", "x")) })];
  expect(readExamples(turns(MAX_MESSAGES)).examples).toHaveLength(1);
  expect(() => readExamples(turns(MAX_MESSAGES + 1))).toThrow(/MESSAGES_INVALID/);
  expect(() => readExamples(turns(0))).toThrow(/MESSAGES_INVALID/);
  expect(() => readExamples([row({ messages: [message("robot", "x")] })])).toThrow(/0\.role/);
  expect(() => readExamples([row({ messages: "x" })])).toThrow(/MESSAGES_INVALID/);
});
