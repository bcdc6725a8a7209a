import { BLANKS, isBlank } from "./lexer.ts";
import { spendOnLength } from "./limits.ts";
import { type Native, native } from "./signature.ts";
import { Text } from "./text.ts";
import { fault, int, iterate, List, str, Tuple, text, truthy, type Value } from "./values.ts";

const BLANK_RUN = new RegExp(`[${BLANKS}]+`, "gu");
// biome-ignore lint/suspicious/noControlCharactersInRegex: these end lines for Python
const LINE_BREAK = /\r\n|[\n-\r\x1c-\x1e\x85\u2028\u2029]/g;

/** Takes characters away at the ends: those of `chars`, by default blanks. */
export function strip(self: Text, chars: Value | undefined, left: boolean, right: boolean): Text {
  const set = chars == null ? undefined : new Set(Array.from(str(chars).text));
  const goes = (char: string) => (set === undefined ? isBlank(char) : set.has(char));
  let [from, to] = [0, self.text.length];
  while (left && from < to) {
    const char = String.fromCodePoint(self.text.codePointAt(from) as number);
    if (!goes(char)) break;
    from += char.length;
  }
  while (right && from < to) {
    const low = /[\udc00-\udfff]/.test(self.text[to - 1] as string) && to - 2 >= from;
    const pair = low ? self.text.slice(to - 2, to) : "";
    const char = (pair.codePointAt(0) ?? 0) > 0xffff ? pair : (self.text[to - 1] as string);
    if (!goes(char)) break;
    to -= char.length;
  }
  return self.slice(from, to);
}

/** The pieces between some stretches, at most `limit` cuts; from the end with `fromRight`. */
function cutAt(
  self: Text,
  stretches: readonly (readonly [number, number])[],
  limit: number,
  fromRight: boolean,
): Text[] {
  const used =
    limit < 0
      ? stretches
      : fromRight
        ? stretches.slice(Math.max(0, stretches.length - limit))
        : stretches.slice(0, limit);
  const ends = [...used.map(([start]) => start), self.text.length];
  return ends.map((end, place) => self.slice(used[place - 1]?.[1] ?? 0, end));
}

function places(haystack: string, needle: string, fromRight = false): [number, number][] {
  if (needle === "") throw fault("empty separator");
  const found: [number, number][] = [];
  if (!fromRight) {
    for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + needle.length)) {
      found.push([at, at + needle.length]);
    }
    return found;
  }
  for (let end = haystack.length; end >= needle.length; ) {
    const at = haystack.lastIndexOf(needle, end - needle.length);
    if (at < 0) break;
    found.push([at, at + needle.length]);
    end = at;
  }
  return found.reverse();
}

function split(self: Text, sep: Value | undefined, maxsplit: Value | undefined, fromRight: boolean): List {
  const limit = maxsplit === undefined ? -1 : int(maxsplit);
  if (sep != null) return new List(cutAt(self, places(self.text, str(sep).text, fromRight), limit, fromRight));
  const outer = strip(self, undefined, !fromRight || limit < 0, fromRight || limit < 0);
  // What is left over when the limit is reached keeps its blanks at the far end only.
  const trimmed = strip(outer, undefined, !fromRight, fromRight);
  if (strip(trimmed, undefined, true, true).text === "") return new List([]);
  const runs = Array.from(
    trimmed.text.matchAll(BLANK_RUN),
    ({ index, 0: run }) => [index, index + run.length] as const,
  );
  const inner = runs.filter(([start, end]) => start > 0 && end < trimmed.text.length);
  const pieces = cutAt(trimmed, inner, limit, fromRight);
  const complete = limit < 0 || inner.length <= limit - (runs.length > inner.length ? 1 : 0);
  return new List(complete ? pieces.map((piece) => strip(piece, undefined, true, true)) : pieces);
}

/** Lines without, or with, their ends. */
export function splitLines(self: Text, keepEnds = false): Text[] {
  const breaks = Array.from(
    self.text.matchAll(LINE_BREAK),
    ({ index, 0: found }) => [index, index + found.length] as const,
  );
  const lines = breaks.map(([start, end], place) => self.slice(breaks[place - 1]?.[1] ?? 0, keepEnds ? end : start));
  const last = self.slice(breaks.at(-1)?.[1] ?? 0);
  return last.text === "" ? lines : [...lines, last];
}

function partition(self: Text, sep: Value | undefined, fromRight: boolean): Tuple {
  const needle = str(sep ?? null);
  const all = places(self.text, needle.text, fromRight);
  const found = fromRight ? all.at(-1) : all[0];
  if (found === undefined) return new Tuple(fromRight ? [text(""), text(""), self] : [self, text(""), text("")]);
  return new Tuple([self.slice(0, found[0]), self.slice(...found), self.slice(found[1])]);
}

export function replace(self: Text, old: Text, fresh: Text, count = -1): Text {
  if (old.text === "") {
    const characters = self.characters();
    const limit = count < 0 ? characters.length + 1 : count;
    const parts = characters.flatMap((char, place) => (place < limit ? [fresh, char] : [char]));
    return Text.join(characters.length < limit ? [...parts, fresh] : parts);
  }
  const pieces = cutAt(self, places(self.text, old.text), count, false);
  return Text.join(pieces.flatMap((piece, place) => (place === 0 ? [piece] : [fresh, piece])));
}

export const join = (separator: Text, parts: readonly Text[]): Text =>
  Text.join(parts.flatMap((part, place) => (place === 0 ? [part] : [separator, part])));

/** The part of a text that `start` and `end` mean, by Python's rules for slices. */
function within(self: Text, start: Value | undefined, end: Value | undefined): { part: Text; offset: number } {
  const clip = (value: Value | undefined, otherwise: number) => {
    if (value == null) return otherwise;
    const place = int(value);
    return Math.min(self.length, place < 0 ? Math.max(0, place + self.length) : place);
  };
  const offset = clip(start, 0);
  return { part: self.range(offset, Math.max(offset, clip(end, self.length))), offset };
}

function matchesEnd(
  self: Text,
  affix: Value | undefined,
  start: Value | undefined,
  end: Value | undefined,
  test: (part: string, affix: string) => boolean,
) {
  const { part } = within(self, start, end);
  const all = affix instanceof Tuple ? affix.items : [affix ?? null];
  return all.some((one) => test(part.text, str(one).text));
}

function find(self: Text, args: readonly (Value | undefined)[], fromRight: boolean): number {
  const { part, offset } = within(self, args[1], args[2]);
  const needle = str(args[0] ?? null).text;
  const at = fromRight ? part.text.lastIndexOf(needle) : part.text.indexOf(needle);
  return at < 0 ? -1 : offset + part.characterAt(at);
}

function index(self: Text, args: readonly (Value | undefined)[], fromRight: boolean): bigint {
  const at = find(self, args, fromRight);
  if (at < 0) throw fault("substring not found");
  return BigInt(at);
}

function pad(
  self: Text,
  width: Value | undefined,
  fill: Value | undefined,
  leftShare: (space: number) => number,
): Text {
  const space = int(width ?? null) - self.length;
  if (space <= 0) return self;
  spendOnLength(space);
  const left = leftShare(space);
  const char = fill === undefined ? text(" ") : str(fill);
  const some = (count: number) => Text.join(new Array<Text>(count).fill(char));
  return Text.join([some(left), self, some(space - left)]);
}

export const upper = (self: Text) => self.map((part) => part.toUpperCase());
export const lower = (self: Text) => self.map((part) => part.toLowerCase());
export const capitalize = (self: Text) =>
  self.length === 0 ? self : Text.join([upper(self.range(0, 1)), lower(self.range(1, self.length))]);

/** Each word, a run of letters, with a capital letter in front. */
function title(self: Text): Text {
  const words = Array.from(
    self.text.matchAll(/\p{Cased}+/gu),
    ({ index: start, 0: word }) => [start, start + word.length] as const,
  );
  const gaps = cutAt(self, words, -1, false);
  return Text.join(
    gaps.flatMap((gap, place) => {
      const word = words[place - 1];
      return word === undefined ? [gap] : [capitalize(self.slice(...word)), gap];
    }),
  );
}

const all = (pattern: RegExp) => native<[Text]>("", (self) => pattern.test(self.text));
const cased = (self: Text, change: (text: string) => string) =>
  change(self.text) === self.text && /\p{Cased}/u.test(self.text);

/** Methods of Python's strings. */
export const STRING_METHODS: Readonly<Record<string, Native<[Text]>>> = {
  strip: native("chars", (self, chars) => strip(self, chars, true, true)),
  lstrip: native("chars", (self, chars) => strip(self, chars, true, false)),
  rstrip: native("chars", (self, chars) => strip(self, chars, false, true)),
  split: native("sep maxsplit", (self, sep, maxsplit) => split(self, sep, maxsplit, false)),
  rsplit: native("sep maxsplit", (self, sep, maxsplit) => split(self, sep, maxsplit, true)),
  splitlines: native("keepends", (self, keep) => new List(splitLines(self, truthy(keep ?? false)))),
  partition: native("sep", (self, sep) => partition(self, sep, false)),
  rpartition: native("sep", (self, sep) => partition(self, sep, true)),
  replace: native("old new count", (self, old, fresh, count) =>
    replace(self, str(old ?? null), str(fresh ?? null), count === undefined ? -1 : int(count)),
  ),
  join: native("iterable", (self, parts) => join(self, iterate(parts ?? null).map(str))),
  startswith: native("prefix start end", (self, prefix, start, end) =>
    matchesEnd(self, prefix, start, end, (part, affix) => part.startsWith(affix)),
  ),
  endswith: native("suffix start end", (self, suffix, start, end) =>
    matchesEnd(self, suffix, start, end, (part, affix) => part.endsWith(affix)),
  ),
  removeprefix: native("prefix", (self, prefix) =>
    self.text.startsWith(str(prefix ?? null).text) ? self.slice(str(prefix ?? null).text.length) : self,
  ),
  removesuffix: native("suffix", (self, suffix) => {
    const { text: end } = str(suffix ?? null);
    return end !== "" && self.text.endsWith(end) ? self.slice(0, self.text.length - end.length) : self;
  }),
  find: native("sub start end", (self, ...args) => BigInt(find(self, args, false))),
  rfind: native("sub start end", (self, ...args) => BigInt(find(self, args, true))),
  index: native("sub start end", (self, ...args) => index(self, args, false)),
  rindex: native("sub start end", (self, ...args) => index(self, args, true)),
  count: native("sub start end", (self, sub, start, end) => {
    const { part } = within(self, start, end);
    const { text: needle } = str(sub ?? null);
    if (needle === "") return BigInt(part.length + 1);
    let count = 0n;
    for (let at = part.text.indexOf(needle); at >= 0; at = part.text.indexOf(needle, at + needle.length)) count++;
    return count;
  }),
  upper: native("", upper),
  lower: native("", lower),
  casefold: native("", (self) => lower(self.map((part) => part.replaceAll("ß", "ss")))),
  capitalize: native("", capitalize),
  title: native("", title),
  swapcase: native("", (self) =>
    self.map((part) =>
      Array.from(part, (char) => (char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase())).join(""),
    ),
  ),
  center: native("width fillchar", (self, width, fill) =>
    pad(self, width, fill, (space) => (space >> 1) + (space & int(width ?? null) & 1)),
  ),
  ljust: native("width fillchar", (self, width, fill) => pad(self, width, fill, () => 0)),
  rjust: native("width fillchar", (self, width, fill) => pad(self, width, fill, (space) => space)),
  zfill: native("width", (self, width) => {
    const signed = /^[+-]/.test(self.text) ? 1 : 0;
    const digits = pad(self.slice(signed), BigInt(int(width ?? null) - signed), text("0"), (space) => space);
    return Text.join([self.slice(0, signed), digits]);
  }),
  expandtabs: native("tabsize", (self, size) => {
    let column = 0;
    const width = size === undefined ? 8 : int(size);
    spendOnLength(Math.max(0, width) * self.text.split("\t").length);
    return self.map((part) =>
      Array.from(part, (char) => {
        const shown = char === "\t" ? " ".repeat(width > 0 ? width - (column % width) : 0) : char;
        column = char === "\n" || char === "\r" ? 0 : column + shown.length;
        return shown;
      }).join(""),
    );
  }),
  isspace: all(new RegExp(`^[${BLANKS}]+$`, "u")),
  isalpha: all(/^\p{L}+$/u),
  isdigit: all(/^[\p{Nd}\u00b2\u00b3\u00b9\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468]+$/u),
  isdecimal: all(/^\p{Nd}+$/u),
  isnumeric: all(/^\p{N}+$/u),
  isalnum: all(/^[\p{L}\p{N}]+$/u),
  isidentifier: all(/^[\p{ID_Start}_]\p{ID_Continue}*$/u),
  isascii: native("", (self) => !/[^\0-\x7f]/.test(self.text)),
  isupper: native("", (self) => cased(self, (part) => part.toUpperCase())),
  islower: native("", (self) => cased(self, (part) => part.toLowerCase())),
  istitle: native("", (self) => title(self).text === self.text && /\p{Cased}/u.test(self.text)),
};
