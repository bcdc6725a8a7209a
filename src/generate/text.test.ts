import { expect, test } from "vitest";
import { CHATML, tinyTokenizerFiles } from "../../test/tiny-tokenizer.ts";
import type { Example } from "../data/examples.ts";
import { encodeExample } from "../data/templates.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import { encodePrompt } from "./text.ts";

test("a conversation with tools is written by the template for tools, in training as in prompts", () => {
  const { json, config } = tinyTokenizerFiles();
  const tool_use = `{{ tools[0].name }}${CHATML}`;
  const tokenizer = createTokenizer({ json, config: { ...config, chat_template: { default: CHATML, tool_use } } });
  const messages = ["user", "assistant"].map((role) => ({ role, content: "hello" }));
  const written = (more: Pick<Extract<Example, { kind: "chat" }>, "variables">) => {
    const row: Example = { kind: "chat", where: "f.jsonl:9", messages, ...more };
    const { ids } = encodeExample(row, { tokenizer, template: "chat", maxTokens: 100, tooLong: "reject" });
    const prompt = encodePrompt(tokenizer, messages.slice(0, 1), more);
    return [ids, prompt].map((some) => tokenizer.decode(some).slice(0, 12));
  };
  expect(written({ variables: { tools: [{ name: "find" }] } })).toEqual(["find<|im_sta", "find<|im_sta"]);
  expect(written({})).toEqual(["<|im_start|>", "<|im_start|>"]);
});
