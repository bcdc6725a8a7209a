import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeNormalizer } from "../../src/formats/tokenize/normalize.ts";
import { makePreTokenizer } from "../../src/formats/tokenize/pre-tokenize.ts";
import { createTokenizer } from "../../src/formats/tokenizer.ts";

interface Cases {
  readonly texts: string[];
  readonly preTokenizers: { part: object; pieces: string[][] }[];
  readonly normalizers: { part: object; texts: string[] }[];
  readonly tokenizers: { json: { model: { type: string } }; ids: number[][]; plain: number[][]; decoded: string[] }[];
}

const { texts, preTokenizers, normalizers, tokenizers }: Cases = JSON.parse(
  readFileSync(join(import.meta.dirname, "tokenizers.json"), "utf8"),
);

/** The right values are those of Hugging Face's tokenizers: scripts/oracle/tokenizers.py. */
describe("parts", () => {
  test.each(preTokenizers)("pre-tokenizer $part", ({ part, pieces }) => {
    const cut = makePreTokenizer(part);
    expect(texts.map((text) => (text === "" ? [] : cut(text, true)))).toEqual(pieces);
  });

  test.each(normalizers)("normalizer $part", ({ part, texts: normalized }) => {
    expect(texts.map(makeNormalizer(part))).toEqual(normalized);
  });
});

test.each(tokenizers)("whole: $json.model.type", ({ json, ids, plain, decoded }) => {
  const tokenizer = createTokenizer({ json, config: {} });
  expect(texts.map((text) => tokenizer.encode(text, { allowSpecial: true }))).toEqual(ids);
  expect(texts.map((text) => tokenizer.encode(text))).toEqual(plain);
  expect(ids.map((some) => tokenizer.decode(some))).toEqual(decoded);
});
