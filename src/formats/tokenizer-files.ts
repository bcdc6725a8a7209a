import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { readSmallFile } from "./byte-source.ts";
import { createTokenizer, type Tokenizer, tokenizerPart } from "./tokenizer.ts";
import { IdsByToken, withOlderFiles } from "./tokenizer-older-files.ts";
import { contradiction, TokenKeys } from "./tokenizer-tokens.ts";

/** 64 MB: the largest vocabularies in use (260 000 tokens) need 35 MB. */
const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;

/** A folder of further chat templates, each called as its file. */
export const TEMPLATES = "additional_chat_templates";

const CONVERT =
  "Convert it once, in Python with transformers and sentencepiece: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)";

const EndIds = z.looseObject({
  eos_token_id: z
    .union([z.int(), z.array(z.int())])
    .nullish()
    .transform((ids) => (ids == null ? [] : [ids].flat())),
});

/**
 * The same, but where the configuration and the post_processor differ on what a text begins with, nobody can tell: versions of
 * transformers read them differently. Chat templates, which write it themselves, go on.
 */
function withBosAsked(tokenizer: Tokenizer, isAsked: unknown): Tokenizer {
  const { addsBos, bosId = -1, tokenOf, named } = tokenizer;
  const agrees = isAsked === addsBos && (!addsBos || tokenOf(bosId) === named.bos_token);
  if (typeof isAsked !== "boolean" || agrees) return tokenizer;
  return {
    ...tokenizer,
    get addsBos(): boolean {
      throw contradiction(
        `add_bos_token ${isAsked}, and a post_processor that ${addsBos ? "writes a token in front" : "writes none"}`,
        "transformers 4 goes by the first and 5 by the second. Use the chat template, or make add_bos_token in tokenizer_config.json say what tokenizer.json does, or change both.",
      );
    },
  };
}

/**
 * Loads the tokenizer in a Hugging Face folder: `tokenizer.json`, with `tokenizer_config.json`, `special_tokens_map.json`,
 * `added_tokens.json`, `config.json`, `generation_config.json` `chat_template.jinja` and `additional_chat_templates`
 * where they exist.
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
  const content = json("tokenizer.json");
  const named = has(TEMPLATES) ? readdirSync(join(path, TEMPLATES)).filter((name) => name.endsWith(".jinja")) : [];
  const files = [
    ...(has("chat_template.jinja") ? [["default", text("chat_template.jinja")] as const] : []),
    ...named.map((name) => [basename(name, ".jinja"), text(join(TEMPLATES, name))] as const),
  ];
  const { add_bos_token: asksBos, ...config } = withOlderFiles(
    optional(TokenKeys, "tokenizer_config.json"),
    optional(TokenKeys, "special_tokens_map.json"),
    optional(IdsByToken, "added_tokens.json"),
    content,
  );
  const tokenizer = createTokenizer({
    json: content,
    config: { ...config, ...(files.length === 0 ? {} : { chat_template: Object.fromEntries(files) }) },
    eosIds: optional(EndIds, "generation_config.json").eos_token_id,
    familyEosIds: optional(EndIds, "config.json").eos_token_id,
  });
  return withBosAsked(tokenizer, asksBos);
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BoosterError("TOKENIZER_MALFORMED", "the file is not JSON", { where, cause });
  }
}
