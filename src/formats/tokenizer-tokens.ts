/** Tokens that a tokenizer's configuration names or adds. Source: `tokenization_utils_base.py` and `tokenization_utils_tokenizers.py` of transformers 5. */
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { isObject } from "./strict-json.ts";
import { AddedToken } from "./tokenize/added-tokens.ts";

type Token = Omit<AddedToken, "id">;

/** A token with its flags; what is not special is looked for in normalised text. */
const flagged = (special: boolean) =>
  AddedToken.omit({ id: true })
    .extend({ special: z.boolean().default(special) })
    .transform((token): Token => ({ ...token, normalized: token.normalized ?? !token.special }));
const [Plain, Special] = [flagged(false), flagged(true)];

/** As configurations write it: a text, or a text with flags. */
const Written = z.unknown().transform((value, context): Token => {
  const whole = typeof value === "string" ? { content: value } : value;
  const parsed = (isObject(whole) && whole.__type === "AddedToken" ? Plain : Special).safeParse(whole);
  if (parsed.success) return parsed.data;
  context.addIssue("expected a token: a text, or an object with content");
  return z.NEVER;
});
const WrittenByName = z.record(z.string(), Written);

/** What a configuration says of tokens; further keys that end with `_token` name tokens, too. */
export const TokenKeys = z.looseObject({
  bos_token: Written.nullish(),
  eos_token: Written.nullish(),
  pad_token: Written.nullish(),
  unk_token: Written.nullish(),
  sep_token: Written.nullish(),
  cls_token: Written.nullish(),
  mask_token: Written.nullish(),
  additional_special_tokens: z.array(Written).nullish(),
  extra_special_tokens: z.union([z.array(Written), WrittenByName]).nullish(),
  model_specific_special_tokens: WrittenByName.nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), Plain).nullish(),
});
export type TokenKeys = z.output<typeof TokenKeys>;

/** The tokens of a tokenizer. */
export interface Tokens {
  /** Texts by the names that templates use, such as `bos_token`. */
  readonly named: Readonly<Record<string, string>>;
  /** Those that are found in a text before it is cut. */
  readonly added: readonly AddedToken[];
  /** Ids of those that have a name and no place in the vocabulary. */
  readonly lacking: ReadonlySet<number>;
}

export const isEmpty = (value: object | null | undefined) => value == null || Object.keys(value).length === 0;

function namedTokens(config: TokenKeys): Map<string, Token> {
  const { extra_special_tokens: extra, model_specific_special_tokens: own } = config;
  const named = new Map<string, Token>();
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith("_token") || (typeof value !== "string" && !isObject(value))) continue;
    const token = Written.safeParse(value);
    if (token.success) named.set(name, token.data);
  }
  for (const tokens of [own, Array.isArray(extra) ? undefined : extra]) {
    for (const [name, token] of Object.entries(tokens ?? {})) named.set(name, token);
  }
  return named;
}

export const contradiction = (
  found: string,
  hint = "Correct tokenizer_config.json, or take the one that the model came with.",
) => new BoosterError("TOKENIZER_MALFORMED", "the files of the tokenizer contradict each other", { found, hint });

/**
 * Brings together what tokenizer.json lists and what the configuration adds to it: its `added_tokens_decoder`, whose flags
 * count, named tokens, and extra ones.
 *
 * @throws {BoosterError} `TOKENIZER_MALFORMED` where an id is another one, or the vocabulary lacks the end token
 */
export function gatherTokens(
  listed: readonly AddedToken[],
  config: TokenKeys,
  vocab: ReadonlyMap<string, number>,
): Tokens {
  const named = namedTokens(config);
  const texts = new Set([...named.values()].map(({ content }) => content));
  const withName = <T extends Token>(token: T): T => ({ ...token, special: token.special || texts.has(token.content) });
  const added = new Map(listed.map((token) => [token.content, withName(token)]));
  /** Where the vocabulary goes on. */
  let next = listed.reduce((most, { id }) => Math.max(most, id + 1), vocab.size);
  const add = (id: number, token: Token) => {
    added.set(token.content, withName({ ...token, id }));
    next = Math.max(next, id + 1);
  };

  for (const [key, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    const { content } = token;
    const id = added.get(content)?.id ?? vocab.get(content) ?? next;
    if (id !== Number(key)) {
      throw contradiction(
        `${JSON.stringify(content)} with id ${key} in added_tokens_decoder, and ${id} by tokenizer.json`,
      );
    }
    add(id, token);
  }
  const lacking = new Set<number>();
  const { additional_special_tokens: older, extra_special_tokens: extra } = config;
  const further = isEmpty(extra) ? older : Array.isArray(extra) ? extra : undefined;
  for (const token of [...named.values(), ...(further ?? [])]) {
    const { content } = token;
    if (content === "" || added.has(content)) continue;
    const id = vocab.get(content) ?? next;
    if (!vocab.has(content)) lacking.add(id);
    add(id, token);
  }
  const end = named.get("eos_token")?.content ?? "";
  if (lacking.has(added.get(end)?.id ?? -1)) {
    throw contradiction(`the end token ${JSON.stringify(end)} is not in the vocabulary`);
  }
  return {
    named: Object.fromEntries([...named].map(([name, { content }]) => [name, content])),
    added: [...added.values()],
    lacking,
  };
}
