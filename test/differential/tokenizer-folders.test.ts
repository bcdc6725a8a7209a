import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { renderChat } from "../../src/formats/chat-template.ts";
import { templateFor } from "../../src/formats/chat-training.ts";
import { loadTokenizer } from "../../src/formats/tokenizer-files.ts";

interface Table {
  /** The tokenizer.json that cases change. */
  readonly json: object;
  readonly texts: readonly string[];
  readonly tools: readonly unknown[];
  readonly cases: readonly {
    readonly name: string;
    readonly json: object;
    readonly files: Readonly<Record<string, unknown>>;
    readonly named: Readonly<Record<string, string>>;
    readonly ids: readonly (readonly number[])[];
    /** What a post-processor writes in front. */
    readonly first: readonly number[];
    /** A question without tools, with none, with some. */
    readonly chat?: readonly string[];
  }[];
}
/** From `scripts/oracle/tokenizer_folders.py`. */
const table: Table = JSON.parse(readFileSync(join(import.meta.dirname, "tokenizer-folders.json"), "utf8"));

const root = mkdtempSync(join(tmpdir(), "tokenizer-folders-"));
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
function load(json: object, files: Readonly<Record<string, unknown>>) {
  const folder = join(root, `${count++}`);
  for (const [name, content] of Object.entries({ "tokenizer.json": { ...table.json, ...json }, ...files })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return loadTokenizer(folder);
}

test.each(table.cases)("as transformers reads it: $name", ({ json, files, named, ids, first, chat }) => {
  const tokenizer = load(json, files);
  expect(tokenizer.named).toEqual(named);
  expect(table.texts.map((text) => tokenizer.encode(text, { allowSpecial: true }))).toEqual(ids);
  const bare = tokenizer.encode("a", { allowSpecial: true });
  const whole = tokenizer.encode("a", { allowSpecial: true, addBos: tokenizer.addsBos });
  expect(whole).toEqual([...first, ...bare]);
  if (named.eos_token !== undefined) expect(tokenizer.eosIds[0]).toBe(tokenizer.idOf(named.eos_token));
  if (chat === undefined) return;
  const written = [null, [], table.tools].map((tools) => {
    const options = { tokens: tokenizer.named, variables: { tools } };
    return renderChat(templateFor(tokenizer, options) ?? "", [{ role: "user", content: "b" }], options);
  });
  expect(written).toEqual(chat);
});

describe("refused by name", () => {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const inFront = (...ids: number[]) => ({
    post_processor: {
      type: "TemplateProcessing",
      single: [...ids.map((id) => ({ SpecialToken: { id: `${id}` } })), { Sequence: { id: "A" } }],
      special_tokens: Object.fromEntries(ids.map((id) => [`${id}`, { ids: [id] }])),
    },
  });

  test.each([
    ["an id that is another one", {}, { added_tokens_decoder: { 7: { content: "<x>" } } }, /"<x>" with id 7 .*, and 4/],
    ["a token under a new name", {}, { added_tokens_decoder: { 4: { content: "<y>" } } }, /"<y>" with id 4 .*, and 12/],
    ["an end token that is not there", {}, { eos_token: "<y>" }, /end token "<y>" is not in the vocabulary/],
    ["a token that is none", {}, { eos_token: 3 }, /eos_token/],
    ["no BOS, though it is written", inFront(2), { bos_token: "<s>", add_bos_token: false }, /add_bos_token false/],
    ["BOS, though none is written", {}, { bos_token: "<s>", add_bos_token: true }, /add_bos_token true/],
    ["BOS, though another is written", inFront(4), { bos_token: "<s>", add_bos_token: true }, /add_bos_token true/],
    ["no template that is the default", {}, { chat_template: [{ name: "rag", template: "x" }] }, /default; found rag/],
    ["two tokens in front", inFront(2, 4), {}, /several tokens; expected at most one; found 2, 4/],
  ])("%s", (_, json, config, message) => {
    expect(() => load(json, { "tokenizer_config.json": config }).addsBos).toThrow(message);
  });

  test("a token without a place, where the template writes it and not where a text says it", () => {
    const named = { added_tokens: [{ id: 3, content: "</s>", ...special }] };
    const config = { eos_token: "</s>", pad_token: "<b>", additional_special_tokens: ["<a>"] };
    const tokenizer = load(named, { "tokenizer_config.json": config });
    expect(tokenizer).toMatchObject({ padId: undefined, vocabSize: 12 });
    expect(tokenizer.encode("<a>")).toEqual([5, 0, 6]);
    expect(() => tokenizer.encode("<a>", { allowSpecial: true })).toThrow(
      /lacks a token that the tokenizer names.*"<a>"/,
    );
    expect(() => tokenizer.encode("<b>", { allowSpecial: true })).toThrow(/"<b>"/);
  });
});
