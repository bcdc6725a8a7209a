import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { renderChat } from "../src/formats/chat-template.ts";
import { encodeChat, renderForTraining } from "../src/formats/chat-training.ts";
import type { Tokenizer } from "../src/formats/tokenizer.ts";
import { openSource } from "../src/models/source.ts";
import { sharedPath } from "./shared.ts";

interface Expected {
  readonly tokenizer: readonly { text: string; ids: number[]; ids_special_as_text?: number[] }[];
  readonly chat: readonly { user: string; rendered: string; ids: number[]; greedy: number[]; text: string }[];
  readonly batches: { align: { input_ids: number[][]; labels: number[][]; attention_mask: number[][] } };
}

const expectedPath = sharedPath("fixtures", "smollm2", "expected.json");
const modelPath = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
const answersPath = sharedPath("data", "safe_answers.json");

describe.skipIf(!expectedPath || !modelPath || !answersPath)("SmolLM2's tokenizer, from GGUF", () => {
  let expected: Expected;
  let tokenizer: Tokenizer;
  let template: string;
  // Not while the tests are collected: that happens where they are skipped, too.
  beforeAll(() => {
    expected = JSON.parse(readFileSync(expectedPath ?? "", "utf8"));
    tokenizer = openSource(modelPath ?? "").base.tokenizer();
    template = tokenizer.chatTemplate ?? "";
  });

  test("ids of the original stack, special tokens recognised or as text", () => {
    for (const { text, ids, ids_special_as_text } of expected.tokenizer) {
      expect(tokenizer.encode(text, { allowSpecial: true }), text).toEqual(ids);
      expect(tokenizer.encode(text), text).toEqual(ids_special_as_text ?? ids);
      expect(tokenizer.decode(ids)).toBe(text);
    }
  });

  test("named tokens", () => {
    expect(tokenizer).toMatchObject({ vocabSize: 49152, bosId: 1, eosIds: [2], padId: 2, addsBos: false });
  });

  test("chat: the rendered text and its ids", () => {
    for (const { user, rendered, ids, greedy, text } of expected.chat) {
      const messages = [{ role: "user", content: user }];
      expect(renderChat(template, messages, { addGenerationPrompt: true })).toBe(rendered);
      expect(encodeChat(tokenizer, template, messages, { addGenerationPrompt: true })).toEqual(ids);
      expect(tokenizer.decode(greedy)).toBe(text);
    }
  });

  test("training rows: ids and labels of the original stack", () => {
    const rows: { instruction: string; output: string }[] = JSON.parse(readFileSync(answersPath ?? "", "utf8"));
    const { input_ids, labels, attention_mask } = expected.batches.align;
    for (const [i, row] of rows.slice(100, 104).entries()) {
      const example = renderForTraining(tokenizer, template, [
        { role: "user", content: row.instruction },
        { role: "assistant", content: row.output },
      ]);
      const length = attention_mask[i]?.reduce((sum, on) => sum + on, 0) ?? 0;
      expect(example.ids.slice(0, 96).length).toBe(length);
      expect(example.ids.slice(0, 96)).toEqual(input_ids[i]?.slice(0, length));
      expect(example.labels.slice(0, 96)).toEqual(labels[i]?.slice(0, length));
    }
  });
});
