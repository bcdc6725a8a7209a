import { toRegExp } from "oniguruma-to-es";
import { z } from "zod";
import { atMost } from "../../errors.ts";

/** Known expressions of tokenizers have at most 1000 characters; V8 runs them without a step limit. */
export const MAX_REGEX_LENGTH = 2048;

/** Rust's `char::is_whitespace`: JavaScript's `\s` knows U+FEFF besides and not U+0085. */
export const WHITE_SPACE = /\p{White_Space}/gu;
/** Rust's `char::is_numeric`. */
export const NUMERIC = /\p{N}/gu;
export const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;
/** `\w+|[^\w\s]+` with the classes of Rust's `regex`. */
export const WORDS = (() => {
  const word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";
  return new RegExp(`[${word}]+|[^${word}\\p{White_Space}]+`, "gu");
})();
/** How byte-level tokenizers cut text. Source: GPT-2. */
export const GPT2_WORDS =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

export const escapeRegex = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

const WORD_CLASS = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** Outside of brackets Oniguruma takes these for word characters too. */
const WORD = `[${WORD_CLASS}\\u00B2\\u00B3\\u00B9\\u00BC-\\u00BE]`;
const NO_WORD = WORD.replace("[", "[^");
const OUTSIDE: Readonly<Record<string, string>> = {
  "\\w": WORD,
  "\\W": NO_WORD,
  "\\b": `(?:(?<!${WORD})(?=${WORD})|(?<=${WORD})(?!${WORD}))`,
  "\\B": `(?:(?<!${WORD})(?!${WORD})|(?<=${WORD})(?=${WORD}))`,
};
const INSIDE: Readonly<Record<string, string>> = {
  "\\w": WORD_CLASS,
  "[:word:]": WORD_CLASS,
  "\\W": `[^${WORD_CLASS}]`,
  "[:^word:]": `[^${WORD_CLASS}]`,
};

/** Spells out what a word character is: the translation to JavaScript has a definition of its own. */
function spellWords(source: string): string {
  let depth = 0;
  return source.replace(/\\[\s\S]|\[:\^?\w+:\]|\[\^?\]?|\]/g, (part) => {
    if (part === "]") depth = Math.max(0, depth - 1);
    else if (part[0] === "[" && part[1] !== ":") depth++;
    return (depth > 0 ? INSIDE : OUTSIDE)[part] ?? part;
  });
}

/** A pattern of a tokenizer file: a text, or an expression in Oniguruma's language, in which Hugging Face's tokenizers read it. */
export const Pattern = z
  .union([z.strictObject({ String: z.string() }), z.strictObject({ Regex: z.string() })])
  .transform((pattern): RegExp => {
    if ("String" in pattern) return pattern.String === "" ? /(?!)/gu : new RegExp(escapeRegex(pattern.String), "gu");
    const problem = "a regular expression of the tokenizer is too long";
    atMost(MAX_REGEX_LENGTH, "characters", pattern.Regex.length, "TOKENIZER_REGEX_TOO_LONG", problem);
    return toRegExp(spellWords(pattern.Regex), { global: true });
  });
