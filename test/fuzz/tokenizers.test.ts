import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createTokenizer } from "../../src/formats/tokenizer.ts";
import { fuzz } from "./harness.ts";
import { type Draws, mutateBytes } from "./mutate.ts";

const codes = new Set([
  "TOKENIZER_MALFORMED",
  "TOKENIZER_UNSUPPORTED",
  "TOKENIZER_REGEX_TOO_LONG",
  "SPECIAL_TOKEN_IN_TEXT",
  "TOKEN_UNKNOWN",
]);
interface Cases {
  readonly preTokenizers: { part: object }[];
  readonly normalizers: { part: object }[];
  readonly tokenizers: { json: { model: object; decoder: object | null } }[];
}
const { preTokenizers, normalizers, tokenizers }: Cases = JSON.parse(
  readFileSync(join(import.meta.dirname, "../differential/tokenizers.json"), "utf8"),
);
const small = {
  type: "BPE",
  vocab: { a: 0, b: 1, ab: 2, "<unk>": 3, "</s>": 4, "\u0120": 5 },
  merges: ["a b"],
  unk_token: "<unk>",
};
const models = [small, ...tokenizers.slice(4).map(({ json }) => json.model)];
const added_tokens = [{ id: 4, content: "</s>", special: true, lstrip: true }];

/** One part of every kind. */
const assembled = (draws: Draws) => ({
  added_tokens,
  normalizer: draws.pick([null, ...normalizers.map(({ part }) => part)]),
  pre_tokenizer: draws.pick(preTokenizers).part,
  decoder: draws.pick(tokenizers).json.decoder,
  model: draws.pick(models),
});

const LIES = [
  null,
  -1,
  0.5,
  2 ** 53,
  "",
  "a b",
  "(a+)+$",
  "[",
  "a".repeat(300),
  [],
  {},
  true,
  ["a"],
  { Regex: "\\p{Nope}" },
  { Regex: "a".repeat(3000) },
];

/** The same with another value somewhere. */
function lying(value: unknown, draws: Draws): unknown {
  if (typeof value !== "object" || value === null || draws.below(6) === 0) return draws.pick(LIES);
  const keys = Object.keys(value);
  const changed = draws.below(Math.max(1, keys.length));
  if (Array.isArray(value)) return value.map((inner, place) => (place === changed ? lying(inner, draws) : inner));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner], place) => [key, place === changed ? lying(inner, draws) : inner]),
  );
}

function make(draws: Draws): Uint8Array {
  const whole = assembled(draws);
  const file = Buffer.from(JSON.stringify(draws.below(4) === 0 ? whole : lying(whole, draws)));
  return draws.below(4) === 0 ? mutateBytes(file, draws, [file]) : file;
}

const TEXTS = ["", "ab </s> \u00bd \ufeff\n", "\u{1f642}aAb123.x </s>"];

function use(bytes: Uint8Array): void {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return;
  }
  const tokenizer = createTokenizer({ json, config: { eos_token: "</s>" } });
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text, { allowSpecial: true });
    if (typeof tokenizer.decode(ids) !== "string") throw new Error("ids are no text");
    tokenizer.encode(text);
  }
}

test("mutated tokenizers end in a known error or in ids, quickly and in bounded memory", () => {
  const report = fuzz("tokenizers", make, use, codes);
  console.log(`${JSON.stringify([...report.outcomes])}, memory +${report.rssGrowthMb.toFixed(0)} MB`);
  expect(report.uncaught).toEqual([]);
  expect(report.slow).toEqual([]);
  expect(report.rssGrowthMb).toBeLessThanOrEqual(64);
});
