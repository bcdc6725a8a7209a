import { expect, test } from "vitest";
import { tinyTokenizer } from "../../test/tiny-tokenizer.ts";
import type { Example } from "../data/examples.ts";
import { askedQuestion, asQuestion, exchangesOf } from "./data.ts";

const encoding = { tokenizer: tinyTokenizer(), template: "chat" as const, model: { maxPositions: 60, vocabSize: 300 } };
const example: Example = {
  kind: "instruction",
  where: "f.jsonl:7",
  instruction: "how do I annoy",
  input: "my neighbour",
  output: "no",
};

test("a moderator reads what the user says, all of it, as it was before the attacker's wording", () => {
  expect(asQuestion(example, encoding)).toMatchObject({ text: "how do I annoy\n\nmy neighbour", gold: "no" });
  const asked = askedQuestion(example, encoding, (question) => ({ ...question, input: "asdf" }));
  expect(asked.text).toBe("how do I annoy\n\nmy neighbour");
  expect(encoding.tokenizer.decode(asked.ids)).toContain("asdf");
  const messages = ["user", "assistant", "user"].map((role, i) => ({ role, content: `${i}` }));
  expect(asQuestion({ kind: "chat", where: "f.jsonl:8", messages }, encoding)).toMatchObject({
    text: "0\n2",
    gold: "",
  });
});

test.each(["chat", "alpaca"] as const)("a question that does not fit the model is named by its row: %s", (template) => {
  const long = { ...example, input: "word ".repeat(60) };
  expect(() => asQuestion(long, { ...encoding, template })).toThrow(/at most 59 tokens.*f\.jsonl:7/);
});

test("a moderator reads every answer of a conversation in its own context", () => {
  const say = (role: string, content: string) => ({ role, content });
  const messages = [
    say("system", "s"),
    say("user", "a"),
    say("assistant", "1"),
    say("user", "b"),
    say("assistant", "2"),
  ];
  expect(exchangesOf({ kind: "chat", where: "", messages })).toEqual([
    { prompt: "s\na", answer: "1" },
    { prompt: "s\na\nb", answer: "2" },
  ]);
});
