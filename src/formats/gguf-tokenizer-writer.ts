import { BoosterError } from "../errors.ts";
import { GPT2, ggufTokenizerFiles, mergesFromScores, PRE_TOKENIZERS, TOKEN_TYPES } from "./gguf-tokenizer.ts";
import { PAIR } from "./gguf-writer.ts";
import { isObject } from "./strict-json.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;
type Entry = readonly [kind: keyof typeof PAIR, key: string, value: unknown];

/** Texts that tell tokenizers apart which know the same words: words, cases, digits, blanks, line ends, signs, scripts, emoji. */
const PROBES = [
  "Hello world, it's 12345 o'clock: DON'T panic!!  Two  blanks\n\nnew\tline \r\n",
  " leading blank and trailing ",
  "x=1+2*(3/4) -> y[0]; // comment #7 \"quoted\" 'single' <tag/> a_b-c@d.e 100% €5",
  "camelCaseWord HTTPServer ½ ¾ ² ① ٣ 2024-07-26 3.14 1,000,000",
  "Grüße naïve façade Привет мир 你好，世界 こんにちは 한국어 العربية עברית हिन्दी",
  "🙂👩‍👩‍👧 \u200b zero\u00a0width 'LL 'Re we'll",
];

/**
 * The keys `tokenizer.*` of a GGUF file for the tokenizer of a Hugging Face folder. What is written is read again and compared on texts of all
 * kinds, so that no file is made whose tokens are others.
 *
 * @param json the content of tokenizer.json
 * @param size rows of the embedding: tokens that the tokenizer lacks are filled up
 * @throws {BoosterError} `TOKENIZER_UNSUPPORTED` where llama.cpp has no such tokenizer
 */
export function ggufTokenizerPairs(json: unknown, tokenizer: Tokenizer, size: number): Uint8Array[] {
  if (!isObject(json) || !isObject(json.model)) throw unsupported("no model", "tokenizer.json");
  const tokens = Array.from({ length: size }, (_, id) => tokenizer.tokenOf(id) ?? `[PAD${id}]`);
  if (tokenizer.vocabSize > size) throw unsupported(`${tokenizer.vocabSize} tokens for ${size} rows`, "the embedding");
  const types = tokens.map((token, id) => {
    if (tokenizer.tokenOf(id) === undefined) return TOKEN_TYPES.unused;
    if (token === (json.model as Json).unk_token) return TOKEN_TYPES.unknown;
    if (tokenizer.isSpecial(id)) return TOKEN_TYPES.control;
    if (tokenizer.isAdded(id)) return TOKEN_TYPES.userDefined;
    return /^<0x[0-9A-F]{2}>$/.test(token) ? TOKEN_TYPES.byte : TOKEN_TYPES.normal;
  });
  const ids: Entry[] = [
    ["bos", tokenizer.bosId],
    ["eos", tokenizer.eosIds[0]],
    ["eot", tokenizer.eosIds[1]],
    ["eom", tokenizer.eosIds[2]],
    ["padding", tokenizer.padId],
    ["unknown", tokenizer.idOf(String((json.model as Json).unk_token ?? ""))],
  ].flatMap(([name, id]): Entry[] => (id === undefined ? [] : [["u32", `${name}_token_id`, id]]));
  const shared: Entry[] = [
    ["texts", "tokens", tokens],
    ["i32s", "token_type", types],
    ...ids,
    ["bool", "add_bos_token", tokenizer.addsBos],
    ["bool", "add_eos_token", false],
  ];
  const { chatTemplate, toolTemplate } = tokenizer;
  const template: Entry[] = [
    ...(chatTemplate === undefined ? [] : [["text", "chat_template", chatTemplate] as const]),
    ...(toolTemplate === undefined ? [] : [["text", "chat_template.tool_use", toolTemplate] as const]),
  ];
  const ways = [byteLevel(json), sentencePiece(json, tokens, types)];
  for (const entries of ways.filter((way) => way !== undefined)) {
    const all = [...entries, ...shared].map(([kind, key, value]): Entry => [kind, `tokenizer.ggml.${key}`, value]);
    all.push(...template.map(([kind, key, value]): Entry => [kind, `tokenizer.${key}`, value]));
    if (!isSame(tokenizer, all)) continue;
    return all.map(([kind, key, value]) => (PAIR[kind] as (key: string, value: unknown) => Uint8Array)(key, value));
  }
  const { type } = json.model as Json;
  throw unsupported(`${String(type)}, cut by ${JSON.stringify(json.pre_tokenizer)?.slice(0, 80)}`, "tokenizer.json");
}

const merges = ({ model }: Json): readonly string[] | undefined => {
  const list = (model as Json).merges;
  if ((model as Json).type !== "BPE" || !Array.isArray(list)) return undefined;
  return list.map((merge: unknown) => (Array.isArray(merge) ? merge.join(" ") : String(merge)));
};

/** Byte-level BPE, where llama.cpp cuts texts in the same way under one of its names. */
function byteLevel(json: Json): Entry[] | undefined {
  const list = merges(json);
  const cuts = cutsOf(json.pre_tokenizer);
  if (list === undefined || cuts === undefined) return undefined;
  const ignores = (json.model as Json).ignore_merges === true;
  const found = [...PRE_TOKENIZERS].find(
    ([, { cut, ignoreMerges = false }]) => ignoreMerges === ignores && `${cutsOf(cut)}` === `${cuts}`,
  );
  if (found === undefined) return undefined;
  return [
    ["text", "model", "gpt2"],
    ["text", "pre", found[0]],
    ["texts", "merges", list],
  ];
}

/** Expressions by which a pre-tokenizer that ends in bytes cuts a text, one after the other; undefined where it does anything else. */
function cutsOf(part: unknown): readonly string[] | undefined {
  if (!isObject(part)) return undefined;
  if (part.type === "ByteLevel") {
    if (part.add_prefix_space === true) return undefined;
    return part.use_regex === false ? [] : [GPT2];
  }
  if (part.type === "Digits") return part.individual_digits === true ? ["\\p{N}"] : undefined;
  if (part.type === "Split" && part.behavior === "Isolated" && part.invert !== true && isObject(part.pattern)) {
    return typeof part.pattern.Regex === "string" ? [part.pattern.Regex] : undefined;
  }
  if (part.type !== "Sequence" || !Array.isArray(part.pretokenizers)) return undefined;
  const cuts = part.pretokenizers.map(cutsOf);
  return cuts.some((cut) => cut === undefined) ? undefined : cuts.flatMap((cut) => cut ?? []);
}

/** SentencePiece's BPE: a token's score falls with the rank of the merges that make it. */
function sentencePiece(json: Json, tokens: readonly string[], types: readonly number[]): Entry[] | undefined {
  const list = merges(json);
  if (list === undefined || (json.model as Json).byte_fallback !== true) return undefined;
  const ranks = new Map<string, number>();
  for (const [rank, merge] of list.entries()) {
    const made = merge.replace(" ", "");
    if (!ranks.has(made)) ranks.set(made, rank);
  }
  // Characters are never made of others, and what the merges do not make never comes of them.
  const scores = tokens.map((token) => -(ranks.get(token) ?? (Array.from(token).length > 1 ? list.length : 0)));
  // SentencePiece makes a token of any two that it consists of. A file that lists some of these merges may come to other tokens: texts tell.
  const implied = new Set(mergesFromScores(tokens, scores, types).merges.map((pair) => pair.join(" ")));
  if (list.some((merge) => !implied.has(merge))) return undefined;
  const prefix = /"prepend"|"prepend_scheme":"(first|always)"/.test(
    JSON.stringify([json.normalizer, json.pre_tokenizer]),
  );
  return [
    ["text", "model", "llama"],
    ["text", "pre", "default"],
    ["f32s", "scores", scores],
    ["bool", "add_space_prefix", prefix],
  ];
}

/** All words of a vocabulary one behind the other, forwards and backwards, in pieces. */
function vocabularyTexts(tokenizer: Tokenizer): string[] {
  const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) => !tokenizer.isSpecial(id));
  const text = (some: readonly number[]) => tokenizer.decode(some);
  return [ids, ids.toReversed()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / 500) }, (_, i) => text(all.slice(500 * i, 500 * (i + 1)))),
  );
}

function isSame(tokenizer: Tokenizer, entries: readonly Entry[]): boolean {
  const again = createTokenizer(ggufTokenizerFiles(Object.fromEntries(entries.map(([, key, value]) => [key, value]))));
  const same = (a: readonly number[], b: readonly number[]) => `${a}` === `${b}`;
  return (
    same(again.eosIds.toSorted(), tokenizer.eosIds.toSorted()) &&
    [...PROBES, ...vocabularyTexts(tokenizer)].every((text) => same(again.encode(text), tokenizer.encode(text)))
  );
}

const unsupported = (found: string, where: string): BoosterError =>
  new BoosterError("TOKENIZER_UNSUPPORTED", "llama.cpp has no tokenizer that does the same", {
    expected: "byte-level BPE with one of its pre-tokenizers, or SentencePiece's BPE",
    found,
    where,
  });
