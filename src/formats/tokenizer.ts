import * as tokenizers from "@huggingface/tokenizers";
import { z } from "zod";
import { atMost, BoosterError } from "../errors.ts";

/** Known pre-tokenizer expressions have at most 400 characters; V8 runs them without a step limit. */
export const MAX_REGEX_LENGTH = 2048;

/** A stretch of text; only where `trusted` is true may special tokens be recognised in it. */
export interface TextSegment {
  readonly text: string;
  readonly trusted: boolean;
}

/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  /** Ids that end an answer; the first one is the tokenizer's own end-of-sequence token. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  /** Whether the model was trained with the begin-of-sequence token in front of every text. */
  readonly addsBos: boolean;
  /** The chat template that came with the tokenizer. */
  readonly chatTemplate: string | undefined;
  /**
   * Ids of a text. Special tokens written in it are encoded as plain text unless `allowSpecial`.
   *
   * @throws {BoosterError} `NO_BOS_TOKEN`, `SPECIAL_TOKEN_IN_TEXT`
   */
  encode(text: string, options?: { readonly allowSpecial?: boolean; readonly addBos?: boolean }): number[];
  /**
   * Ids of the joined segments: as if encoded whole, but special tokens count in trusted segments only.
   *
   * @throws {BoosterError} `SPECIAL_TOKEN_IN_TEXT`
   */
  encodeSegments(segments: readonly TextSegment[]): number[];
  /** The text of ids, exactly as generated (no tidying of blanks). */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecial?: boolean }): string;
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  isSpecial(id: number): boolean;
}

const Token = z
  .union([z.string(), z.object({ content: z.string() })])
  .nullish()
  .transform((token) => (typeof token === "object" ? token?.content : token));

const AddedToken = z.looseObject({ id: z.int().nonnegative(), content: z.string(), special: z.boolean().optional() });

const Part = z
  .unknown()
  .optional()
  .transform((part) => part ?? null);

const TokenizerJson = z.looseObject({
  added_tokens: z.array(AddedToken).default([]),
  normalizer: Part,
  pre_tokenizer: Part,
  post_processor: Part,
  decoder: Part,
  model: z.looseObject({}),
});

const TokenizerConfig = z.looseObject({
  bos_token: Token,
  eos_token: Token,
  pad_token: Token,
  unk_token: Token,
  add_bos_token: z.boolean().nullish(),
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]).nullish(),
});

/** The contents of `tokenizer.json` and `tokenizer_config.json`, as parsed JSON. */
export interface TokenizerFiles {
  readonly json: unknown;
  readonly config: unknown;
  /** Further ids that end an answer, such as those of `generation_config.json`. */
  readonly eosIds?: readonly number[];
}

/** The part of the package that is used here; its own declarations do not resolve under Node's module rules. */
interface Engine {
  model: { readonly vocab: readonly string[]; readonly unk_token_id?: number } | null;
  encode(text: string, options?: { readonly add_special_tokens: boolean }): { readonly ids: number[] };
  decode(ids: number[], options: { readonly clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
}
const Engine = tokenizers.Tokenizer as new (json: object, config: object) => Engine;

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

function checkRegexLengths(part: unknown): void {
  if (typeof part !== "object" || part === null) return;
  for (const [key, value] of Object.entries(part)) {
    if (key === "Regex" && typeof value === "string") {
      const problem = "a regular expression of the tokenizer is too long";
      atMost(MAX_REGEX_LENGTH, "characters", value.length, "TOKENIZER_REGEX_TOO_LONG", problem);
    }
    checkRegexLengths(value);
  }
}

/** A part of a tokenizer's files, checked. @throws {BoosterError} `TOKENIZER_MALFORMED` */
export function tokenizerPart<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new BoosterError("TOKENIZER_MALFORMED", "the tokenizer cannot be read", {
    found: z.prettifyError(result.error),
    where: file,
  });
}

/**
 * Makes a tokenizer from the parsed contents of its files.
 *
 * @throws {BoosterError} `TOKENIZER_MALFORMED`, `TOKENIZER_REGEX_TOO_LONG`
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const json = tokenizerPart(TokenizerJson, files.json, "tokenizer.json");
  const config = tokenizerPart(TokenizerConfig, files.config, "tokenizer_config.json");
  for (const part of [json.normalizer, json.pre_tokenizer, json.decoder]) checkRegexLengths(part);

  const named = new Set([config.bos_token, config.eos_token, config.pad_token, config.unk_token]);
  const specials = json.added_tokens.filter((token) => token.special === true || named.has(token.content));
  const specialIds = new Set(specials.map((token) => token.id));

  let engine: Engine;
  let plainEngine: Engine;
  try {
    engine = new Engine(json, config);
    // The same tokenizer without its special tokens. Vocabulary and merges are shared: they are most of its memory.
    const plainTokens = json.added_tokens.filter((token) => !specialIds.has(token.id));
    const emptyModel = { type: "BPE", vocab: {}, merges: [] };
    plainEngine = new Engine({ ...json, added_tokens: plainTokens, model: emptyModel }, config);
    plainEngine.model = engine.model;
  } catch (error) {
    throw new BoosterError("TOKENIZER_MALFORMED", "the tokenizer cannot be built", {
      found: error instanceof Error ? error.message : String(error),
      where: "tokenizer.json",
      cause: error,
    });
  }

  const model = engine.model;
  if (model === null) throw new BoosterError("TOKENIZER_MALFORMED", "the tokenizer has no model");
  const longestFirst = specials.map((token) => token.content).sort((a, b) => b.length - a.length);
  const specialPattern = new RegExp(`(${longestFirst.map(escaped).join("|") || "(?!)"})`, "gu");
  const specialPlaces = (text: string, offset: number) =>
    Array.from(text.matchAll(specialPattern), (match) => match.index + offset);
  const idOf = (token: string | null | undefined) => (token == null ? undefined : engine.token_to_id(token));
  const bosId = idOf(config.bos_token);
  const eosIds = [...new Set([idOf(config.eos_token), ...(files.eosIds ?? [])])].filter((id) => id !== undefined);

  const encodeSpecial = (text: string) => engine.encode(text, { add_special_tokens: false }).ids;
  const encodePlain = (text: string): number[] => {
    const { ids } = plainEngine.encode(text, { add_special_tokens: false });
    const special = ids.find((id) => specialIds.has(id) && id !== model.unk_token_id);
    if (special === undefined) return ids;
    throw new BoosterError("SPECIAL_TOKEN_IN_TEXT", "this tokenizer cannot write a special token as plain text", {
      found: engine.id_to_token(special) ?? `${special}`,
      hint: "Remove it from the text.",
    });
  };
  const withBos = (ids: number[]): number[] => {
    if (bosId === undefined) {
      throw new BoosterError("NO_BOS_TOKEN", "the tokenizer has no begin-of-sequence token", {
        hint: "Encode without addBos.",
      });
    }
    return [bosId, ...ids];
  };

  return {
    vocabSize: model.vocab.length,
    bosId,
    eosIds,
    padId: idOf(config.pad_token),
    addsBos: config.add_bos_token ?? (bosId !== undefined && engine.encode("a").ids[0] === bosId),
    chatTemplate: Array.isArray(config.chat_template)
      ? config.chat_template.find((entry) => entry.name === "default")?.template
      : (config.chat_template ?? undefined),
    encode(text, { allowSpecial = false, addBos = false } = {}) {
      const ids = allowSpecial ? encodeSpecial(text) : encodePlain(text);
      return addBos ? withBos(ids) : ids;
    },
    encodeSegments(segments) {
      const whole = segments.map(({ text }) => text).join("");
      let offset = 0;
      const real = segments.flatMap(({ text, trusted }) => {
        const places = trusted ? specialPlaces(text, offset) : [];
        offset += text.length;
        return places;
      });
      const seen = specialPlaces(whole, 0);
      if (seen.length === real.length && seen.every((place, i) => place === real[i])) return encodeSpecial(whole);
      // Text runs over the borders of segments up to the next real special token, as in an encoding of the whole.
      const parts: number[][] = [];
      let run = "";
      for (const { text, trusted } of segments) {
        for (const piece of trusted ? text.split(specialPattern) : [text]) {
          if (trusted && longestFirst.includes(piece)) {
            parts.push(encodePlain(run), encodeSpecial(piece));
            run = "";
          } else {
            run += piece;
          }
        }
      }
      return [...parts, encodePlain(run)].flat();
    },
    decode(ids, { skipSpecial = false } = {}) {
      const kept = Array.from(ids).filter((id) => !(skipSpecial && specialIds.has(id)));
      return kept.length === 0 ? "" : engine.decode(kept, { clean_up_tokenization_spaces: false });
    },
    idOf,
    tokenOf: (id) => engine.id_to_token(id),
    isSpecial: (id) => specialIds.has(id),
  };
}
