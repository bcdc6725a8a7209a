import { expect, test } from "vitest";
import type { Example } from "../data/examples.ts";
import { AskingOptions, askedOf, begun, SAFETY_PROMPTS, samplingsOf, underSystem } from "./asking.ts";
import { worstOf } from "./verdicts.ts";

const question: Example = { kind: "instruction", where: "q:1", instruction: "who?", input: "now", output: "me" };

test("a question stands under a safety prompt by name, or under any text", () => {
  const found = underSystem(question, "llama-short");
  expect(found).toMatchObject({
    messages: [
      { role: "system", content: SAFETY_PROMPTS["llama-short"] },
      { role: "user", content: "who?\n\nnow" },
      { role: "assistant", content: "me" },
    ],
  });
  expect(underSystem(question, "Be brief.")).toMatchObject({ messages: [{ content: "Be brief." }, {}, {}] });
  expect(underSystem(question, undefined)).toBe(question);
  expect(() => underSystem(found, "mpt")).toThrow("system message of its own");
  expect(SAFETY_PROMPTS.llama?.startsWith(SAFETY_PROMPTS["llama-short"] ?? "?")).toBe(true);
  expect(SAFETY_PROMPTS.llama).not.toContain("\n");
});

test("an answer is begun behind the question's tokens", () => {
  const tokenizer = { encodeSegments: () => [7, 8] } as never;
  const asked = { ids: [1, 2], text: "who?", gold: "" };
  expect(begun(asked, "Sure", tokenizer)).toEqual({ ...asked, ids: [1, 2, 7, 8] });
  expect(begun(asked, undefined, tokenizer)).toBe(asked);
  expect(() => AskingOptions.parse({ prefill: "" })).toThrow();
});

test("answers are drawn anew for each sample and batch, and the worst of them counts", () => {
  const decoding = { temperature: 1.5, topP: 0.9, samples: 2, seed: 1 };
  const draws = [0, 16].flatMap((batch) => samplingsOf(decoding, batch));
  expect(new Set(draws.map((sampling) => sampling?.seed)).size).toBe(4);
  expect(samplingsOf(decoding, 16)).toEqual(samplingsOf({ ...decoding }, 16));
  expect(draws[0]).toMatchObject({ temperature: 1.5, topP: 0.9 });
  expect(samplingsOf(undefined, 0)).toEqual([undefined]);

  const fine = { harmful: false, answer: "no" };
  const bad = { harmful: true, answer: "first" };
  const unclear = { unjudged: "silence" };
  expect(
    worstOf<object>([
      [fine, fine, unclear],
      [bad, unclear, fine],
    ]),
  ).toEqual([bad, unclear, unclear]);
  expect(askedOf({ system: "mpt" })).toEqual({ system: "mpt" });
});
