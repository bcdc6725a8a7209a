import { BoosterError } from "../errors.ts";
import { findJsonFault, isObject } from "./strict-json.ts";

/** A whole number that was written as a float, such as `10.0`: JavaScript's numbers do not tell it from an integer. */
export class Float extends Number {}

/** Keys of an object in their order: JavaScript puts those that are whole numbers first. */
const ORDER = Symbol("keys in their order");
const IS_INDEX = /^\d+$/;

type Ordered = Record<string, unknown> & { [ORDER]?: readonly string[] };

/** Keys and values of an object, in the order in which they were given to `objectOf` or stand in its text. */
export const entriesOf = (object: object): [string, unknown][] =>
  ((object as Ordered)[ORDER] ?? Object.keys(object)).map((key) => [key, (object as Ordered)[key]]);

/** An object that knows the order of its keys. */
export function objectOf(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const object: Ordered = Object.fromEntries(entries);
  if (entries.some(([key]) => IS_INDEX.test(key))) object[ORDER] = [...new Set(entries.map(([key]) => key))];
  return object;
}

/** Where `JSON.parse` may lose something: floats, numbers of 16 digits and more, keys that are numbers. Strings may have the same. */
const MAY_LOSE = /(?:^|[[:,])\s*-?(?:\d+\.|\d+[eE]|\d{16})|"(?:\d|\\u)[^"]*"\s*:/;
/** What stands in valid JSON besides blanks, commas and colons. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]|[^\s,:"[\]{}]+/g;
/** Python reads no longer integers. */
const MAX_DIGITS = 4300;

function numberOf(token: string): unknown {
  const number = Number(token);
  if (/[.eE]/.test(token)) return Number.isInteger(number) ? new Float(number) : number;
  if (Number.isSafeInteger(number)) return number;
  return token.length > MAX_DIGITS ? number : BigInt(token);
}

/**
 * JSON with all that Python's `json` keeps of it: `10.0` is a `Float`, an integer beyond 2^53 a bigint, and objects know the
 * order of their keys (`entriesOf`).
 *
 * @param parsed what `JSON.parse` makes of it, where that is known
 * @throws {SyntaxError} where it is no JSON
 * @example
 * parseExactJson('{"price": 10.0, "id": 12345678901234567890}');
 */
export function parseExactJson(text: string, parsed: unknown = JSON.parse(text)): unknown {
  if (!MAY_LOSE.test(text)) return parsed;
  const tokens = text.matchAll(TOKEN);
  const next = () => tokens.next().value?.[0] ?? "";
  const value = (token: string): unknown => {
    if (token === "[") {
      const items: unknown[] = [];
      for (let item = next(); item !== "]"; item = next()) items.push(value(item));
      return items;
    }
    if (token === "{") {
      const entries: [string, unknown][] = [];
      for (let key = next(); key !== "}"; key = next()) entries.push([JSON.parse(key), value(next())]);
      return objectOf(entries);
    }
    return /^[-\d]/.test(token) ? numberOf(token) : JSON.parse(token);
  };
  return value(next());
}

/** Nesting of JSON in a text, as of rows. */
const MAX_DEPTH = 64;

/** What a text says that is JSON, as formats with texts alone hold it; anything else as it is. @throws {BoosterError} `JSON_TOO_DEEP` */
export function parsedJson(value: unknown): unknown {
  if (typeof value !== "string") return value;
  const fault = findJsonFault(value, { depth: MAX_DEPTH, values: Number.POSITIVE_INFINITY });
  if (fault?.code === "JSON_TOO_DEEP") throw new BoosterError(fault.code, `JSON in a text ${fault.problem}`);
  try {
    return parseExactJson(value);
  } catch {
    return value;
  }
}

/** JSON that `parseExactJson` reads as the same; of what has nothing of the kind, the text of `JSON.stringify`. */
export function exactJson(value: unknown): string {
  if (value instanceof Float)
    return /[.e]/.test(String(value)) ? String(value) : `${Object.is(Number(value), -0) ? "-0" : value}.0`;
  if (typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `[${value.map((item) => exactJson(item ?? null)).join(",")}]`;
  if (!isObject(value) || typeof value.toJSON === "function") return JSON.stringify(value);
  const kept = entriesOf(value).filter(([, inner]) => inner !== undefined);
  return `{${kept.map(([key, inner]) => `${JSON.stringify(key)}:${exactJson(inner)}`).join(",")}}`;
}
