import { z } from "zod";
import { toByteSymbols } from "./bytes.ts";
import { type MakePart, makePart, part } from "./parts.ts";
import { escapeRegex, GPT2_WORDS, NUMERIC, Pattern, PUNCTUATION, WHITE_SPACE, WORDS } from "./regex.ts";
import { BEHAVIORS, split } from "./split.ts";

/** Cuts a text into the pieces within which tokens may lie; `first`: the piece begins the text. */
export type PreTokenizer = (text: string, first: boolean) => string[];

const Behavior = z
  .string()
  .transform((name) => name.replace(/(?:^|_)(\w)/g, (_, letter: string) => letter.toUpperCase()))
  .pipe(z.enum(BEHAVIORS));

const PRE_TOKENIZERS: Readonly<Record<string, MakePart<PreTokenizer>>> = {
  Sequence: part({ pretokenizers: z.array(z.unknown()) }, ({ pretokenizers }) => {
    const all = pretokenizers.map((one) => makePreTokenizer(one));
    return (text, first) =>
      all.reduce((pieces, cut) => pieces.flatMap((piece, place) => cut(piece, first && place === 0)), [text]);
  }),
  ByteLevel: part(
    {
      add_prefix_space: z.boolean().default(true),
      trim_offsets: z.boolean().optional(),
      use_regex: z.boolean().default(true),
    },
    ({ add_prefix_space, use_regex }) =>
      (text) => {
        const spaced = add_prefix_space && !text.startsWith(" ") ? ` ${text}` : text;
        return (use_regex ? split(spaced, GPT2_WORDS, "Isolated") : [spaced]).map(toByteSymbols);
      },
  ),
  Split: part(
    { pattern: Pattern, behavior: Behavior, invert: z.boolean().default(false) },
    ({ pattern, behavior, invert }) =>
      (text) =>
        split(text, pattern, behavior, invert),
  ),
  Digits: part(
    { individual_digits: z.boolean() },
    ({ individual_digits }) =>
      (text) =>
        split(text, NUMERIC, individual_digits ? "Isolated" : "Contiguous"),
  ),
  Punctuation: part(
    { behavior: Behavior.default("Isolated") },
    ({ behavior }) =>
      (text) =>
        split(text, PUNCTUATION, behavior),
  ),
  Whitespace: part({}, () => (text) => split(text, WORDS, "Removed", true)),
  WhitespaceSplit: part({}, () => (text) => split(text, WHITE_SPACE, "Removed")),
  BertPreTokenizer: part(
    {},
    () => (text) => split(text, WHITE_SPACE, "Removed").flatMap((word) => split(word, PUNCTUATION, "Isolated")),
  ),
  CharDelimiterSplit: part({ delimiter: z.string() }, ({ delimiter }) => {
    const pattern = new RegExp(escapeRegex(delimiter), "gu");
    return (text) => split(text, pattern, "Removed");
  }),
  Metaspace: part(
    {
      replacement: z.string(),
      prepend_scheme: z.enum(["always", "never", "first"]).optional(),
      add_prefix_space: z.boolean().default(true),
      split: z.boolean().default(true),
      str_rep: z.string().optional(),
    },
    ({ replacement, prepend_scheme, add_prefix_space, split: cuts }) => {
      const scheme = prepend_scheme ?? (add_prefix_space ? "always" : "never");
      const pattern = new RegExp(escapeRegex(replacement), "gu");
      return (text, first) => {
        const marked = text.replaceAll(" ", replacement);
        const begins = scheme === "always" || (scheme === "first" && first);
        const whole = begins && !marked.startsWith(replacement) ? replacement + marked : marked;
        return cuts ? split(whole, pattern, "MergedWithNext") : [whole];
      };
    },
  ),
  FixedLength: part({ length: z.int().positive() }, ({ length }) => (text) => {
    const characters = Array.from(text);
    return Array.from({ length: Math.ceil(characters.length / length) }, (_, i) =>
      characters.slice(i * length, (i + 1) * length).join(""),
    );
  }),
};

/** @throws {BoosterError} `TOKENIZER_UNSUPPORTED` */
export const makePreTokenizer = (description: unknown): PreTokenizer =>
  makePart(PRE_TOKENIZERS, "pre-tokenizer", description) ?? ((text) => [text]);
