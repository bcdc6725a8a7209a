import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "./byte-source.ts";
import { createTokenizer, type Tokenizer, tokenizerPart } from "./tokenizer.ts";

/** 64 MB: the largest vocabularies in use (260 000 tokens) need 35 MB. */
const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;

const CONVERT =
  "Convert it once, in Python with transformers and sentencepiece: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

const EndIds = z.looseObject({
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullish()
    .transform((ids) => (ids == null ? [] : [ids].flat())),
});
const AddedIds = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), special: z.boolean().optional() })).default([]),
});

/**
 * Loads the tokenizer in a Hugging Face folder: `tokenizer.json`, with `tokenizer_config.json`, `special_tokens_map.json`,
 * `config.json`, `generation_config.json` and `chat_template.jinja` where they exist.
 *
 * @throws {BoosterError} `TOKENIZER_MISSING`, `TOKENIZER_MALFORMED`, `TOKENIZER_REGEX_TOO_LONG`, `TOKENIZER_UNSUPPORTED`, and
 *   what `readSmallFile` throws
 * @example
 * const tokenizer = loadTokenizer("models/smollm2");
 * tokenizer.decode(tokenizer.encode("Hello"));
 */
export function loadTokenizer(path: string): Tokenizer {
  const text = (name: string) => new TextDecoder().decode(readSmallFile(join(path, name), MAX_TOKENIZER_BYTES));
  const has = (name: string) => existsSync(join(path, name));
  const json = (name: string) => parsed(text(name), join(path, name));
  const optional = <T>(schema: z.ZodType<T>, name: string): T =>
    tokenizerPart(schema, has(name) ? json(name) : {}, join(path, name));
  if (!has("tokenizer.json")) {
    throw new BoosterError("TOKENIZER_MISSING", "the folder has no tokenizer", {
      expected: "tokenizer.json",
      where: path,
      ...(has("tokenizer.model") && { found: "tokenizer.model alone, SentencePiece's own file", hint: CONVERT }),
    });
  }
  const tokenizer = json("tokenizer.json");
  // Families' default ids stand in many files whose vocabulary has an ordinary token there.
  const { added_tokens } = tokenizerPart(AddedIds, tokenizer, join(path, "tokenizer.json"));
  const special = new Set(added_tokens.filter((token) => token.special === true).map(({ id }) => id));
  return createTokenizer({
    json: tokenizer,
    config: {
      ...optional(z.looseObject({}), "special_tokens_map.json"),
      ...optional(z.looseObject({}), "tokenizer_config.json"),
      ...(has("chat_template.jinja") ? { chat_template: text("chat_template.jinja") } : {}),
    },
    eosIds: [
      ...optional(EndIds, "generation_config.json").eos_token_id,
      ...optional(EndIds, "config.json").eos_token_id.filter((id) => special.has(id)),
    ],
  });
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BoosterError("TOKENIZER_MALFORMED", "the file is not JSON", { where, cause });
  }
}
