/** Rows with two answers. */

import { describe, expect, test } from "vitest";
import type { InstructionExample } from "./examples.ts";
import { readPairs } from "./formats.ts";

const row = (values: Record<string, unknown>) => ({ file: "pairs.jsonl", line: 3, values });
const read = (values: Record<string, unknown>) => {
  const { examples, format, recognised } = readPairs([row(values)]);
  const [pair] = examples;
  const answer = (example: unknown) => (example as InstructionExample).output;
  return { format, recognised, answers: [answer(pair?.chosen), answer(pair?.rejected)], safe: pair?.safe };
};

const SAFE_RLHF = {
  prompt: "q",
  response_0: "a",
  response_1: "b",
  is_response_0_safe: true,
  is_response_1_safe: false,
};

describe("pairs", () => {
  test("a preference with marks, without them, and as texts of CSV", () => {
    const plain = { prompt: "q", chosen: "a", rejected: "b" };
    expect(read(plain)).toMatchObject({ format: "preference", answers: ["a", "b"], safe: {} });
    const marked = read({ ...plain, chosen_safe: "False", rejected_safe: "1" });
    expect(marked.safe).toEqual({ chosen: false, rejected: true });
    expect(marked.recognised).toBe("preferences, both answers (prompt, chosen, rejected, chosen_safe, rejected_safe)");
    expect(() => read({ ...plain, chosen_safe: "perhaps" })).toThrow("FLAG_INVALID");
  });

  test("SafeRLHF: the more helpful answer is chosen, not the safer one", () => {
    const found = read({ ...SAFE_RLHF, better_response_id: 1, safer_response_id: 0 });
    expect(found).toMatchObject({ answers: ["b", "a"], safe: { chosen: false, rejected: true } });
    expect(() => read({ ...SAFE_RLHF, safer_response_id: 0 })).toThrow("better_response_id");
    expect(() => read({ ...SAFE_RLHF, better_response_id: 2 })).toThrow("COLUMN_MISSING");
  });

  test("OpenAI's preferences", () => {
    const turn = (content: string) => [{ role: "assistant", content }];
    const input = { messages: [{ role: "user", content: "q" }] };
    const { examples } = readPairs([row({ input, preferred_output: turn("a"), non_preferred_output: turn("b") })]);
    expect(JSON.stringify(examples[0]?.chosen)).toContain('"a"');
    expect(JSON.stringify(examples[0]?.rejected)).toContain('"b"');
  });

  test("rows with one answer are refused with their place", () => {
    expect(() => read({ prompt: "q", completion: "a" })).toThrow(/pairs\.jsonl:3.*no two answers/s);
  });
});
