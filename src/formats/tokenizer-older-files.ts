import { z } from "zod";
import { isObject } from "./strict-json.ts";
import { isEmpty, type TokenKeys } from "./tokenizer-tokens.ts";

/** The content of added_tokens.json. */
export const IdsByToken = z.record(z.string(), z.int().nonnegative());

const textOf = (token: unknown) => (isObject(token) ? token.content : token);

/**
 * tokenizer_config.json with what older versions of transformers kept beside it: special_tokens_map.json, whose values win,
 * and added_tokens.json. Neither counts where the configuration has `added_tokens_decoder`.
 *
 * Source: `_from_pretrained` in `tokenization_utils_base.py` of transformers 5.
 */
export function withOlderFiles(
  config: TokenKeys,
  map: TokenKeys,
  added: z.output<typeof IdsByToken>,
  tokenizer: unknown,
): TokenKeys {
  if (config.added_tokens_decoder != null) return config;
  const own = isEmpty(config.extra_special_tokens) ? config.additional_special_tokens : config.extra_special_tokens;
  const extras = [own, map.extra_special_tokens];
  const lists = extras.filter((tokens) => Array.isArray(tokens));
  const list = lists.length > 0 ? lists.flat() : (map.additional_special_tokens ?? []);
  const merged = {
    ...config,
    ...map,
    additional_special_tokens: undefined,
    extra_special_tokens: list,
    model_specific_special_tokens: Object.assign(
      {},
      config.model_specific_special_tokens,
      ...extras.filter((tokens) => !Array.isArray(tokens)),
    ),
  };
  const named = Object.entries(merged).flatMap(([key, token]) => (key.endsWith("_token") ? [token] : []));
  const special = new Set([...named, ...list].map(textOf));
  const listed = isObject(tokenizer) && Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const known = new Set(listed.map(textOf));
  const entries = Object.entries(added).flatMap(([content, id]) =>
    known.has(content) ? [] : [[id, { content, special: special.has(content) }] as const],
  );
  return { ...merged, added_tokens_decoder: Object.fromEntries(entries) } as TokenKeys;
}
