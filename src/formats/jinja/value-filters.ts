import { type Filter, filter } from "./filter.ts";
import { fixed, formatPercent } from "./format.ts";
import { toJson } from "./json.ts";
import { BLANKS } from "./lexer.ts";
import { spendOnLength } from "./limits.ts";
import { asHtml, escaped } from "./markup.ts";
import { print } from "./print.ts";
import { capitalize, join, lower, replace, STRING_METHODS, splitLines, strip, upper } from "./string-methods.ts";
import { Markup, Text } from "./text.ts";
import {
  Dict,
  fault,
  int,
  integerOf,
  isFloat,
  isNumber,
  iterate,
  orElse,
  str,
  text,
  truthy,
  Undefined,
  type Value,
} from "./values.ts";

const INTEGERS: Readonly<Record<number, RegExp>> = {
  2: /^(?:0b)?[01]+$/i,
  8: /^(?:0o)?[0-7]+$/i,
  10: /^\d+$/,
  16: /^(?:0x)?[\da-f]+$/i,
};
/** Python reads no longer ones. */
const MAX_DIGITS = 4300;
const PREFIX: Readonly<Record<number, string>> = { 2: "0b", 8: "0o", 10: "", 16: "0x" };

/** `float(text)`; undefined where it is no number. */
function parseFloatText(source: string): number | undefined {
  const plain = source
    .trim()
    .toLowerCase()
    .replace(/(?<=\d)_(?=\d)/g, "");
  const words = /^([+-]?)(inf|infinity|nan)$/.exec(plain);
  if (words !== null) return words[2] === "nan" ? Number.NaN : words[1] === "-" ? -Infinity : Infinity;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(plain) ? Number(plain) : undefined;
}

function toInt(value: Value, otherwise: Value | undefined, base: Value | undefined): Value {
  const radix = base === undefined ? 10 : int(base);
  if (value instanceof Text) {
    const [, sign = "", digits = ""] =
      /^([+-]?)([\s\S]*)$/.exec(value.text.trim().replace(/(?<=\w)_(?=\w)/g, "")) ?? [];
    if (digits.length <= MAX_DIGITS && INTEGERS[radix]?.test(digits)) {
      const size = BigInt(PREFIX[radix] + digits.replace(/^0[box]/i, radix === 10 ? "$&" : ""));
      return sign === "-" ? -size : size;
    }
  }
  const integer = integerOf(value);
  if (integer !== undefined) return integer;
  const float = value instanceof Text ? parseFloatText(value.text) : isFloat(value) ? value : undefined;
  return float !== undefined && Number.isFinite(float) ? BigInt(Math.trunc(float)) : orElse(otherwise, 0n);
}

function rounded(value: Value, precision: Value | undefined, method: Value | undefined): Value {
  if (!isNumber(value)) throw fault("round() needs a number");
  const places = precision === undefined ? 0 : int(precision);
  const how = method === undefined ? "common" : str(method).text;
  if (how === "ceil" || how === "floor") return Math[how](Number(value) * 10 ** places) / 10 ** places;
  if (how !== "common") throw fault("method must be common, ceil or floor");
  const integer = integerOf(value);
  if (integer !== undefined && places >= 0) return integer;
  const shift = 10 ** Math.max(0, -places);
  const size = Number(fixed(Math.abs(Number(value)) / shift, Math.max(0, Math.min(100, places)))) * shift;
  const result = Number(value) < 0 ? -size : size;
  return integer === undefined ? result : BigInt(result);
}

function blanks(count: number): Text {
  spendOnLength(Math.max(0, count));
  return text(" ".repeat(Math.max(0, count)));
}

function indented(value: Value, width: Value | undefined, first: Value | undefined, blank: Value | undefined): Text {
  const margin = width instanceof Text ? width : blanks(width === undefined ? 4 : int(width));
  const lines = splitLines(Text.join([print(value), "\n"]));
  const rest = lines.map((line, place) =>
    (place === 0 ? truthy(first ?? false) : truthy(blank ?? false) || line.text !== "")
      ? Text.join([margin, line])
      : line,
  );
  return join(text("\n"), rest);
}

function truncated(
  value: Value,
  length: Value | undefined,
  kill: Value | undefined,
  end: Value | undefined,
  leeway: Value | undefined,
): Text {
  const [whole, tail] = [print(value), end === undefined ? text("...") : str(end)];
  const limit = length === undefined ? 255 : int(length);
  if (limit < tail.length) throw fault(`expected length >= ${tail.length}, got ${limit}`);
  if (whole.length <= limit + (leeway == null ? 5 : int(leeway))) return whole;
  const cut = whole.range(0, limit - tail.length);
  const blank = cut.text.lastIndexOf(" ");
  return Text.join([truthy(kill ?? false) || blank < 0 ? cut : cut.slice(0, blank), tail]);
}

const html = filter("", (value) => (value instanceof Text ? asHtml(value) : escaped(print(value))));
const otherwise = filter("default_value boolean", (value, fallback, boolean) =>
  value instanceof Undefined || (truthy(boolean ?? false) && !truthy(value)) ? orElse(fallback, text("")) : value,
);
const WORD_BEGINNING = new RegExp(`[-${BLANKS}({[<]+`, "gu");
function json(
  value: Value,
  ascii: Value | undefined,
  indent: Value | undefined,
  separators: Value | undefined,
  sort: Value | undefined,
): Text {
  const margin = indent == null ? undefined : indent instanceof Text ? indent.text : blanks(int(indent)).text;
  const [between, afterKey] = separators == null ? [] : iterate(separators).map((one) => str(one).text);
  return toJson(value, {
    asciiOnly: truthy(ascii ?? false),
    indent: margin,
    between: between ?? (margin === undefined ? ", " : ","),
    afterKey: afterKey ?? ": ",
    sorted: truthy(sort ?? false),
  });
}

/** Filters of Jinja for single values; `tojson` as transformers has it. */
export const VALUE_FILTERS: Readonly<Record<string, Filter>> = {
  abs: filter("", (value) => {
    if (!isNumber(value)) throw fault("bad operand type for abs()");
    if (isFloat(value)) return Math.abs(value);
    return BigInt(value) < 0n ? -BigInt(value) : value;
  }),
  capitalize: filter("", (value) => capitalize(print(value))),
  center: filter("width", (value, width) =>
    (STRING_METHODS.center as (typeof STRING_METHODS)[string]).run(print(value), width ?? 80n),
  ),
  d: otherwise,
  default: otherwise,
  e: html,
  escape: html,
  forceescape: filter("", (value) => escaped(print(value))),
  float: filter("default", (value, fallback) => {
    const float = value instanceof Text ? parseFloatText(value.text) : isNumber(value) ? Number(value) : undefined;
    return float ?? orElse(fallback, 0);
  }),
  int: filter("default base", toInt),
  format: (value, args, kwargs) => {
    const named = kwargs.size > 0 ? new Dict([...kwargs].map(([key, one]) => [text(key), one])) : undefined;
    return formatPercent(print(value), args, named);
  },
  indent: filter("width first blank", indented),
  lower: filter("", (value) => lower(print(value))),
  upper: filter("", (value) => upper(print(value))),
  replace: filter("old new count", (value, old, fresh, count) =>
    replace(print(value), print(old ?? null), print(fresh ?? null), count == null ? -1 : int(count)),
  ),
  round: filter("precision method", rounded),
  safe: filter("", (value) => Markup.of(print(value))),
  string: filter("", print),
  title: filter("", (value) => {
    const whole = print(value);
    const starts = [0, ...Array.from(whole.text.matchAll(WORD_BEGINNING), ({ index, 0: gap }) => index + gap.length)];
    return Text.join(starts.map((start, i) => capitalize(whole.slice(start, starts[i + 1]))));
  }),
  tojson: filter("ensure_ascii indent separators sort_keys", json),
  trim: filter("chars", (value, chars) => strip(print(value), chars, true, true)),
  truncate: filter("length killwords end leeway", truncated),
  urlencode: filter("", (value) =>
    print(value).map((part) =>
      encodeURIComponent(part)
        .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
        .replaceAll("%2F", "/"),
    ),
  ),
  wordcount: filter("", (value) => BigInt(print(value).text.match(/[\p{L}\p{N}\p{M}_]+/gu)?.length ?? 0)),
};
