import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { turnEndOf } from "./chat-template.ts";
import { withDeadline } from "./deadline.ts";
import type { TextSegment } from "./text-segment.ts";
import { AddedToken, AddedTokens, type Ranges } from "./tokenize/added-tokens.ts";
import { makeBytes, makeDecoder } from "./tokenize/decode.ts";
import { makeNormalizer } from "./tokenize/normalize.ts";
import { makePreTokenizer } from "./tokenize/pre-tokenize.ts";
import { makeModel } from "./tokenize/words.ts";
import { leadingId } from "./tokenizer-lead.ts";
import { gatherTokens, TokenKeys } from "./tokenizer-tokens.ts";

/** Milliseconds that the expressions of a stranger's tokenizer may take for one text. */
const ENCODE_DEADLINE_MS = 10_000;

/** Text to token ids and back. */
export interface Tokenizer {
  /** One more than the largest id. */
  readonly vocabSize: number;
  /** What stands in front of a text, or what the configuration calls so. */
  readonly bosId: number | undefined;
  /** Ids that end an answer; the first one is the tokenizer's own end-of-sequence token. */
  readonly eosIds: readonly number[];
  readonly padId: number | undefined;
  /** Texts of tokens by the names that templates use: `bos_token`, `unk_token`, ... */
  readonly named: Readonly<Record<string, string>>;
  /** Whether the model was trained with the begin-of-sequence token in front of every text. */
  readonly addsBos: boolean;
  /** The chat template that came with the tokenizer. */
  readonly chatTemplate: string | undefined;
  /** The one for conversations with tools, where it is another. */
  readonly toolTemplate: string | undefined;
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
  /** The same, and where tokens stand that nothing before or behind them changes: a text can be taken up again there. */
  encodeWithStops(segments: readonly TextSegment[]): { readonly ids: number[]; readonly stops: readonly Stop[] };
  /** The text of ids, exactly as generated (no tidying of blanks). */
  decode(ids: ArrayLike<number>, options?: { readonly skipSpecial?: boolean }): string;
  /** The bytes that a token adds to a text that has begun: a part of a character where the vocabulary cuts characters. None where there is no such token. */
  bytesOf(id: number): Uint8Array;
  idOf(token: string): number | undefined;
  tokenOf(id: number): string | undefined;
  isSpecial(id: number): boolean;
  /** Whether a text is searched for the token before it is cut. */
  isAdded(id: number): boolean;
}

/** An added token in a text: its characters, half open, and how many ids are before it. */
export interface Stop {
  readonly start: number;
  readonly end: number;
  readonly before: number;
}

const TokenizerJson = z.looseObject({
  added_tokens: z.array(AddedToken).default([]),
  normalizer: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
  post_processor: z.unknown().optional(),
  decoder: z.unknown().optional(),
  model: z.looseObject({}),
});

const TokenizerConfig = TokenKeys.extend({
  add_bos_token: z.boolean().nullish(),
  chat_template: z
    .union([
      z.string(),
      z.array(z.object({ name: z.string(), template: z.string() })),
      z.record(z.string(), z.string()),
    ])
    .nullish(),
});

/** The contents of `tokenizer.json` and `tokenizer_config.json`, as parsed JSON. */
export interface TokenizerFiles {
  readonly json: unknown;
  readonly config: unknown;
  /** Further ids that end an answer, such as those of `generation_config.json`. */
  readonly eosIds?: readonly number[];
  /** Those of `config.json`, of which special tokens end an answer: families' defaults stand in many files whose vocabulary has an ordinary token there. */
  readonly familyEosIds?: readonly number[];
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

/** Its parts; what is wrong with one of them is told like what is wrong with the file. */
function partsOf(json: z.output<typeof TokenizerJson>) {
  try {
    return {
      normalize: makeNormalizer(json.normalizer),
      cut: makePreTokenizer(json.pre_tokenizer),
      model: makeModel(json.model),
      join: makeDecoder(json.decoder),
      bytes: makeBytes(json.decoder),
      lead: leadingId(json.post_processor),
    };
  } catch (error) {
    if (error instanceof BoosterError) throw error;
    throw new BoosterError("TOKENIZER_MALFORMED", "the tokenizer cannot be built", {
      found: error instanceof z.ZodError ? z.prettifyError(error) : String(error),
      where: "tokenizer.json",
      cause: error,
    });
  }
}

/** As transformers chooses among several. */
function templatesOf(given: z.output<typeof TokenizerConfig>["chat_template"]) {
  if (typeof given === "string" || given == null) return { chatTemplate: given ?? undefined, toolTemplate: undefined };
  const named = new Map(
    Array.isArray(given) ? given.map(({ name, template }) => [name, template]) : Object.entries(given),
  );
  const chatTemplate = named.get("default");
  if (chatTemplate !== undefined || named.size === 0) return { chatTemplate, toolTemplate: named.get("tool_use") };
  throw new BoosterError("TOKENIZER_UNSUPPORTED", "which of the chat templates is meant is not said", {
    expected: "one that is called default",
    found: [...named.keys()].slice(0, 20).join(", "),
  });
}

const hasRegex = (part: unknown): boolean =>
  typeof part === "object" &&
  part !== null &&
  ("Regex" in part || Object.values(part).some((inner) => hasRegex(inner)));

const lacks = (token: string) =>
  new BoosterError("TOKEN_UNKNOWN", "the vocabulary lacks a token that the tokenizer names", {
    found: JSON.stringify(token),
    hint: "Use a template that does not write it, or the tokenizer that the model was trained with.",
  });

function untrustedRanges(segments: readonly TextSegment[]): Ranges {
  let end = 0;
  return segments.flatMap(({ text, trusted }): Ranges => {
    end += text.length;
    return trusted || text === "" ? [] : [[end - text.length, end]];
  });
}

/**
 * Makes a tokenizer from the parsed contents of its files.
 *
 * @throws {BoosterError} `TOKENIZER_MALFORMED`, `TOKENIZER_REGEX_TOO_LONG`, `TOKENIZER_UNSUPPORTED`
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const json = tokenizerPart(TokenizerJson, files.json, "tokenizer.json");
  const config = tokenizerPart(TokenizerConfig, files.config, "tokenizer_config.json");
  const { normalize, cut, model, join: joinTokens, bytes, lead } = partsOf(json);

  const { named, added, lacking } = gatherTokens(json.added_tokens, config, model.vocab);
  const specialIds = new Set(added.filter(({ special }) => special).map(({ id }) => id));
  /** A stranger's expressions have no step limit of their own. */
  const bounded = (part: unknown) =>
    hasRegex(part) ? <T>(task: () => T) => withDeadline(ENCODE_DEADLINE_MS, task) : <T>(task: () => T) => task();
  const [whileEncoding, whileDecoding] = [bounded([json.normalizer, json.pre_tokenizer]), bounded(json.decoder)];
  const finder = whileEncoding(() => new AddedTokens(added, normalize));
  const addedIds = new Map(added.filter(({ id }) => !lacking.has(id)).map(({ content, id }) => [content, id]));
  const idOf = (token: string | undefined) =>
    token === undefined ? undefined : (addedIds.get(token) ?? model.vocab.get(token));
  const tokens = new Map<number, string>();
  let vocabSize = 0;
  for (const vocabulary of [model.vocab, addedIds]) {
    for (const [token, id] of vocabulary) {
      tokens.set(id, token);
      vocabSize = Math.max(vocabSize, id + 1);
    }
  }

  const { add_bos_token: isAsked } = config;
  const bosId = (isAsked == null ? lead : undefined) ?? idOf(named.bos_token);
  const { chatTemplate, toolTemplate } = templatesOf(config.chat_template);

  function encode(text: string, plain: Ranges): { readonly ids: number[]; readonly stops: readonly Stop[] } {
    const ids: number[] = [];
    const stops: Stop[] = [];
    for (const section of finder.cut(text, plain)) {
      if (section.text === undefined) {
        if (lacking.has(section.id)) throw lacks(added.find(({ id }) => id === section.id)?.content ?? "");
        const [start, end] = section.written ?? [];
        if (start !== undefined && end !== undefined) stops.push({ start, end, before: ids.length });
        ids.push(section.id);
        continue;
      }
      for (const word of cut(section.text, section.start === 0)) {
        const own = model.encode(word);
        const special = plain.length > 0 ? own.find((id) => specialIds.has(id) && id !== model.unknown) : undefined;
        for (const id of own) ids.push(id);
        if (special === undefined) continue;
        throw new BoosterError("SPECIAL_TOKEN_IN_TEXT", "this tokenizer cannot write a special token as plain text", {
          found: tokens.get(special) ?? `${special}`,
          hint: "Remove it from the text.",
        });
      }
    }
    return { ids, stops };
  }

  const encodeWithStops = (segments: readonly TextSegment[]) =>
    whileEncoding(() => encode(segments.map(({ text }) => text).join(""), untrustedRanges(segments)));

  const ended = [chatTemplate, toolTemplate].map((template) => {
    const turnEnd = template === undefined ? undefined : turnEndOf(template, named);
    if (turnEnd === undefined) return undefined;
    return whileEncoding(() => finder.cut(turnEnd, [])).find(({ id }) => id !== undefined)?.id ?? idOf(turnEnd.trim());
  });
  const family = files.familyEosIds?.filter((id) => specialIds.has(id)) ?? [];
  const eosIds = [idOf(named.eos_token), ...(files.eosIds ?? []), ...family, ...ended].filter(
    (id): id is number => id !== undefined && !lacking.has(id),
  );

  return {
    vocabSize,
    bosId,
    eosIds: [...new Set(eosIds)],
    padId: idOf(named.pad_token),
    named,
    addsBos: isAsked ?? lead !== undefined,
    chatTemplate,
    toolTemplate,
    encode(text, { allowSpecial = false, addBos = false } = {}) {
      const { ids } = whileEncoding(() => encode(text, allowSpecial ? [] : [[0, text.length]]));
      if (!addBos) return ids;
      if (bosId !== undefined) return [bosId, ...ids];
      throw new BoosterError("NO_BOS_TOKEN", "the tokenizer has no begin-of-sequence token", {
        hint: "Encode without addBos.",
      });
    },
    encodeSegments: (segments) => encodeWithStops(segments).ids,
    encodeWithStops,
    decode(ids, { skipSpecial = false } = {}) {
      const kept = Array.from(ids).filter((id) => !(skipSpecial && specialIds.has(id)));
      return whileDecoding(() => joinTokens(kept.map((id) => tokens.get(id) ?? named.unk_token ?? ""))).join("");
    },
    bytesOf(id) {
      const token = tokens.get(id);
      if (token === undefined) return new Uint8Array();
      return addedIds.has(token) ? Buffer.from(token) : whileDecoding(() => bytes(token));
    },
    idOf,
    tokenOf: (id) => tokens.get(id),
    isSpecial: (id) => specialIds.has(id),
    isAdded: (id) => addedIds.has(tokens.get(id) ?? ""),
  };
}
