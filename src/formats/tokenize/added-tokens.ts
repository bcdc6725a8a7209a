import { z } from "zod";
import type { Normalizer } from "./normalize.ts";

/** A token that is found in a text before it is cut. */
export const AddedToken = z.object({
  id: z.int().nonnegative(),
  content: z.string(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  normalized: z.boolean().optional(),
  special: z.boolean().default(false),
});
export type AddedToken = z.output<typeof AddedToken>;

/** Half-open stretches of a text. */
export type Ranges = readonly (readonly [start: number, end: number])[];

/** A stretch of text, or a token that was found; of one that was found in the text as it is written, where it stands. */
export type Section =
  | { readonly text: string; readonly start: number; readonly id?: undefined }
  | { readonly id: number; readonly written?: readonly [start: number, end: number]; readonly text?: undefined };

const WORD = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const BLANK = /^\p{White_Space}/u;

/** Whether a token from `start` to `end` touches a word on either side. */
function touchesWord(text: string, start: number, end: number): boolean {
  const before = text[start - 1] ?? "";
  const isLow = before >= "\udc00" && before <= "\udfff";
  return (
    WORD.test(text.slice(Math.max(0, isLow ? start - 2 : start - 1), start)) || WORD.test(text.slice(end, end + 2))
  );
}

const overlaps = (ranges: Ranges, start: number, end: number) => ranges.some(([from, to]) => from < end && start < to);

/** Finds the longest of some texts at the first place where one begins, and goes on behind it. */
class Finder {
  private readonly byFirst = new Map<string, { content: string; token: AddedToken }[]>();

  constructor(entries: Iterable<readonly [content: string, token: AddedToken]>) {
    for (const [content, token] of entries) {
      if (content === "") continue;
      const list = this.byFirst.get(content[0] as string) ?? [];
      list.push({ content, token });
      this.byFirst.set(content[0] as string, list);
    }
    for (const list of this.byFirst.values()) list.sort((a, b) => b.content.length - a.content.length);
  }

  /** Cuts a text; a special token of which some character is in `plain` is left as text. */
  cut(text: string, plain: Ranges): Section[] {
    const sections: Section[] = [];
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const found = this.byFirst.get(text[at] as string)?.find(({ content }) => text.startsWith(content, at));
      if (found === undefined) {
        at++;
        continue;
      }
      const { token } = found;
      const begin = at;
      const end = begin + found.content.length;
      at = end;
      if (token.special && overlaps(plain, begin, end)) continue;
      if (token.single_word && touchesWord(text, begin, end)) continue;
      let start = begin;
      while (token.lstrip && start > done && BLANK.test(text[start - 1] as string)) start--;
      while (token.rstrip && at < text.length && BLANK.test(text[at] as string)) at++;
      if (start > done) sections.push({ text: text.slice(done, start), start: done });
      sections.push({ id: token.id, written: [start, at] });
      done = at;
    }
    if (done < text.length) sections.push({ text: text.slice(done), start: done });
    return sections;
  }
}

/** Ranges of a text in the normalised text; exact where characters are replaced one by one. */
function normalizedRanges(text: string, ranges: Ranges, normalize: Normalizer): Ranges {
  const at = (place: number) => normalize(text.slice(0, place)).length;
  return ranges
    .filter(([from, to]) => to > 0 && from < text.length)
    .map(([from, to]) => [at(Math.max(0, from)), at(Math.min(text.length, to))] as const);
}

/**
 * Cuts texts into added tokens and what is between them, which is normalised.
 *
 * As in Hugging Face's tokenizers: tokens with `normalized` are looked for in the normalised text. One difference: a special
 * one of these is found as it is written, too; else a normaliser that puts a mark in front of a text would hide it.
 */
export class AddedTokens {
  private readonly raw: Finder;
  private readonly normalized: Finder;
  private readonly normalize: Normalizer;
  private readonly hasNormalizedSpecials: boolean;

  constructor(tokens: readonly AddedToken[], normalize: Normalizer) {
    const isNormalized = (token: AddedToken) => token.normalized ?? !token.special;
    const later = tokens.filter(isNormalized);
    this.normalize = normalize;
    this.raw = new Finder(tokens.filter((token) => !isNormalized(token)).map((token) => [token.content, token]));
    this.normalized = new Finder([
      ...later.map((token) => [normalize(token.content), token] as const),
      ...later.filter(({ special }) => special).map((token) => [token.content, token] as const),
    ]);
    this.hasNormalizedSpecials = later.some(({ special }) => special);
  }

  /** @param plain where special tokens are text; `start` of a section is 0 where it begins the text */
  cut(text: string, plain: Ranges): Section[] {
    return this.raw.cut(text, plain).flatMap((section) => {
      if (section.text === undefined) return [section];
      const shifted = plain.map(([from, to]) => [from - section.start, to - section.start] as const);
      const ranges = this.hasNormalizedSpecials ? normalizedRanges(section.text, shifted, this.normalize) : [];
      return this.normalized
        .cut(this.normalize(section.text), ranges)
        .map((inner) =>
          inner.text === undefined ? { id: inner.id } : { ...inner, start: inner.start + section.start },
        );
    });
  }
}
