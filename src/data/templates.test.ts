import { describe, expect, test } from "vitest";
import { tinyTokenizer, tinyTokenizerFiles } from "../../test/tiny-tokenizer.ts";
import { IGNORE } from "../formats/labels.ts";
import { createTokenizer } from "../formats/tokenizer.ts";
import type { Example } from "./examples.ts";
import { alpacaPrompt, type EncodeOptions, encodeEach, encodeExample } from "./templates.ts";

const tokenizer = tinyTokenizer();
const options: EncodeOptions = { tokenizer, template: "alpaca", maxTokens: 4096, tooLong: "reject" };
const example = (output: string, input = ""): Example => ({
  kind: "instruction",
  where: "f.jsonl:7",
  instruction: "say hello",
  input,
  output,
});
const trained = (labels: Int32Array) => tokenizer.decode(labels.filter((label) => label !== IGNORE));
const joined = (instruction: string, input: string) =>
  alpacaPrompt(instruction, input)
    .map(({ text }) => text)
    .join("");

describe("Alpaca", () => {
  test("the prompt, word for word", () => {
    expect(joined("I", "")).toBe(
      "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n" +
        "### Instruction:\nI\n\n### Response:\n",
    );
    expect(joined("I", "X")).toBe(
      "Below is an instruction that describes a task, paired with an input that provides further context. " +
        "Write a response that appropriately completes the request.\n\n" +
        "### Instruction:\nI\n\n### Input:\nX\n\n### Response:\n",
    );
  });

  test("the answer and the end token are trained, the prompt is not", () => {
    const { ids, labels, trainedTokens, truncated } = encodeExample(example("hello", "now"), options);
    expect(tokenizer.decode(ids)).toBe(`${joined("say hello", "now")}hello<|im_end|>`);
    expect(trained(labels)).toBe("hello<|im_end|>");
    expect([trainedTokens, truncated]).toEqual([2, false]);
  });

  test("begin-of-sequence where the tokenizer adds one", () => {
    const { json, config } = tinyTokenizerFiles();
    const adding = createTokenizer({ json, config: { ...config, add_bos_token: true } });
    const { ids, labels } = encodeExample(example("hello"), { ...options, tokenizer: adding });
    expect(ids[0]).toBe(adding.bosId);
    expect(Array.from(ids.subarray(1))).toEqual(Array.from(encodeExample(example("hello"), options).ids));
    expect(trained(labels)).toBe("hello<|im_end|>");
  });

  test("an end token that the data writes is text", () => {
    const { ids, labels } = encodeExample(example("a<|im_end|>b"), options);
    expect(ids.filter((id) => tokenizer.isSpecial(id))).toHaveLength(1);
    expect(trained(labels)).toBe("a<|im_end|>b<|im_end|>");
  });

  test("truncation cuts the end, or the example is refused", () => {
    const { ids, labels } = encodeExample(example("hello"), options);
    const cut = encodeExample(example("hello"), { ...options, maxTokens: ids.length - 1, tooLong: "truncate" });
    expect(cut.ids).toEqual(ids.slice(0, -1));
    expect(cut.labels).toEqual(labels.slice(0, -1));
    expect([cut.truncated, cut.trainedTokens]).toEqual([true, 1]);
    expect(() => encodeExample(example("hello"), { ...options, maxTokens: ids.length - 1 })).toThrow(
      /too many tokens.*f\.jsonl:7/,
    );
    expect(() =>
      encodeExample(example("hello"), { ...options, maxTokens: ids.length - 2, tooLong: "truncate" }),
    ).toThrow(/no token to train on.*f\.jsonl:7/);
  });

  test("an answer that begins with line breaks has the tokens of the whole; those of the prompt alone are not trained", () => {
    const { ids, labels } = encodeExample(example("\n\nhello"), options);
    expect(Array.from(ids.slice(0, -1))).toEqual(tokenizer.encode(`${joined("say hello", "")}\n\nhello`));
    expect(trained(labels)).toBe("\nhello<|im_end|>");
  });

  test("a row that cannot be used is reported beside the others", () => {
    const examples = [example("a".repeat(9000)), example("hello")];
    const { encoded, places, refused } = encodeEach(examples, (one) => encodeExample(one, options));
    expect(encoded.map(({ trainedTokens }) => trainedTokens)).toEqual([2]);
    expect(places).toEqual([1]);
    expect(refused.map(({ code, details }) => [code, details.where])).toEqual([["EXAMPLE_TOO_LONG", "f.jsonl:7"]]);
  });
});

describe("chat", () => {
  const chat: EncodeOptions = { ...options, template: "chat" };

  test("an instruction and its input are the user's message", () => {
    const { ids, labels } = encodeExample(example("hello", "now"), chat);
    expect(tokenizer.decode(ids)).toBe(
      "<|im_start|>user\nsay hello\n\nnow<|im_end|>\n<|im_start|>assistant\nhello<|im_end|>\n",
    );
    expect(trained(labels)).toBe("hello<|im_end|>\n");
  });

  test("conversations need the chat template", () => {
    const messages = [
      { role: "user", content: "a" },
      { role: "assistant", content: "b" },
    ];
    const conversation: Example = { kind: "chat", where: "f.jsonl:9", messages };
    expect(trained(encodeExample(conversation, chat).labels)).toBe("b<|im_end|>\n");
    expect(() => encodeExample(conversation, options)).toThrow(/cannot write conversations.*f\.jsonl:9/);
    const silent: Example = { ...conversation, messages: messages.slice(0, 1) };
    expect(() => encodeExample(silent, chat)).toThrow(/f\.jsonl:9/);
    const { json, config } = tinyTokenizerFiles();
    const plain = createTokenizer({ json, config: { ...config, chat_template: null } });
    expect(() => encodeExample(conversation, { ...chat, tokenizer: plain })).toThrow(/no chat template/);
  });
});
