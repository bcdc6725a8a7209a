import { z } from "zod";
import { isObject } from "../strict-json.ts";

/** Turns a piece of text, cut by the pre-tokenizer, into token ids. */
export interface WordModel {
  readonly vocab: ReadonlyMap<string, number>;
  /** Id of what has no other token. */
  readonly unknown: number | undefined;
  /** @throws {BoosterError} `TOKEN_UNKNOWN` where the model has no token for it */
  encode(word: string): readonly number[];
}

/** Ids are below this: sixteen times the largest vocabularies in use. */
export const ID_LIMIT = 2 ** 22;

const isId = (value: unknown) => Number.isInteger(value) && (value as number) >= 0 && (value as number) < ID_LIMIT;

/** Tokens and their ids. A map, since a token may be called `__proto__`. */
export const Vocabulary = z.custom<Record<string, number>>(isObject).transform((vocab, context) => {
  const map = new Map(Object.entries(vocab));
  for (const [token, id] of map) if (!isId(id)) context.addIssue(`the id of ${JSON.stringify(token)} is no id`);
  return map;
});
