import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readExamples } from "../src/data/formats.ts";
import { encodeExample } from "../src/data/templates.ts";
import { openGguf } from "../src/formats/gguf.ts";
import { ggufTokenizerFiles } from "../src/formats/gguf-tokenizer.ts";
import { IGNORE } from "../src/formats/labels.ts";
import { createTokenizer, type Tokenizer, type TokenizerFiles } from "../src/formats/tokenizer.ts";
import { sharedPath } from "./shared.ts";

const inputs = sharedPath("cases", "inputs");
const model = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");

/** Conversations and templates of public reports, with SmolLM2's tokens: `cases/README.md`. */
describe.skipIf(!inputs || !model)("cases of chat templates", () => {
  let files: TokenizerFiles;
  beforeAll(() => {
    files = ggufTokenizerFiles(openGguf(model ?? "").metadata);
  });
  const withTemplate = (folder: string): Tokenizer =>
    createTokenizer({
      json: files.json,
      config: {
        bos_token: "<|im_start|>",
        eos_token: "<|im_end|>",
        pad_token: "<|im_end|>",
        unk_token: "<|endoftext|>",
        chat_template: readFileSync(join(inputs ?? "", folder, "chat_template.jinja"), "utf8"),
      },
    });
  const encode = (tokenizer: Tokenizer, file: string) =>
    encodeRow(tokenizer, file, JSON.parse(readFileSync(join(inputs ?? "", file), "utf8")));
  const encodeRow = (tokenizer: Tokenizer, file: string, values: Record<string, unknown>) => {
    const [example] = readExamples([{ file, line: 1, values }]).examples;
    if (example === undefined) throw new Error("no example");
    const options = { tokenizer, template: "chat", maxTokens: 4096, tooLong: "reject" } as const;
    const { ids, labels, trainedTokens } = encodeExample(example, options);
    const trained = tokenizer.decode(labels.filter((label) => label !== IGNORE));
    return { tokens: ids.length, trainedTokens, text: tokenizer.decode(ids), trained };
  };

  test.each([
    ["C04", "chat-weight", "t-optionalsystem", { trainedTokens: 8, trained: "Sorry, it is Paris.<|im_end|>\n" }],
    ["C12", "chat-emptysystem", "t-optionalsystem", { tokens: 26 }],
    [
      "C14",
      "chat-trailing",
      "t-mixedtrim",
      { tokens: 22, text: "<|im_start|>[INST] What is 2+2?\n[/INST] It is 4.<|im_end|>" },
    ],
    ["C15", "chat-plain", "t-reasoning", { tokens: 21, trained: "It is 4.<|im_end|>" }],
    ["C17", "chat-assistantfirst", "t-bosfirst", { tokens: 23, trained: "Welcome!<|im_end|>Hello!<|im_end|>" }],
    ["C41", "chat-plain", "t-generation", { trainedTokens: 6, trained: "It is 4.<|im_end|>" }],
  ])("%s: %s with %s", (_, rows, template, right) => {
    expect(encode(withTemplate(template), `${rows}.jsonl`)).toMatchObject(right);
  });

  test("C09: the format of a date; C10: only the characters that are named are stripped", () => {
    expect(encode(withTemplate("t-strftime"), "chat-plain.jsonl").text).toContain(
      "Date: 2024-07-26. Year 2024, at 26 July 2024.",
    );
    expect(encode(withTemplate("t-stripchars"), "chat-indented.jsonl").text).toContain("]\n    return a + b<");
  });

  test("C15: reasoning is kept or refused", () => {
    expect(() => encode(withTemplate("t-reasoning"), "chat-think.jsonl")).toThrow(/leaves out what the row says/);
    expect(encode(createTokenizer(files), "chat-think.jsonl").trained).toContain("Two and two.");
  });

  test("an empty answer begins at the token that ends it, and not within it", () => {
    const messages = [
      { role: "user", content: "q" },
      { role: "assistant", content: "" },
    ];
    expect(encodeRow(withTemplate("t-reasoning"), "empty.jsonl", { messages })).toMatchObject({
      text: "<|im_start|>[user]q[assistant]<|im_end|>",
      trained: "<|im_end|>",
    });
  });

  test("parts, and a message without content, with the model's own template", () => {
    expect(encode(createTokenizer(files), "chat-parts.jsonl").trained).toBe("It is 4.<|im_end|>\n");
    expect(() => encode(createTokenizer(files), "chat-nullcontent.jsonl")).toThrow(/chat-nullcontent.jsonl:1/);
  });

  test("C07: fractions and other numbers are cut as Unicode's", () => {
    const tokenizer = createTokenizer(files);
    expect(tokenizer.encode(" \u00bd")).toEqual([216, 16738]);
    const text = readFileSync(join(inputs ?? "", "fractions.jsonl"), "utf8");
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test("C18: an answer ends where the template ends a turn, whatever the file calls its end", () => {
    const { config } = files as { config: object };
    expect(createTokenizer({ ...files, config: { ...config, eos_token: "<|endoftext|>" } }).eosIds).toEqual([0, 2]);
  });
});
