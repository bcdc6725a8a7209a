import { BoosterError } from "../errors.ts";

/** What a JSON document from outside may contain. */
export interface JsonLimits {
  /** Nesting of objects and arrays. */
  readonly depth: number;
  /** Commas: keys, and elements of arrays, altogether: bounds the memory that parsing takes. */
  readonly values: number;
  /** Refuse fractions, exponents and minus signs (for headers that hold counts only). */
  readonly naturalsOnly?: boolean;
}

/** Limits for hand-written files such as config.json. */
const CONFIG_LIMITS: JsonLimits = { depth: 64, values: 200_000 };

/** What is wrong with a JSON text, and at which character (from 0). `problem` never quotes the text. */
export interface JsonFault {
  readonly at: number;
  readonly code: "JSON_INVALID" | "JSON_TOO_DEEP" | "JSON_TOO_LARGE" | "JSON_DUPLICATE_KEY";
  readonly problem: string;
}

class Found extends Error {
  readonly fault: JsonFault;
  constructor(fault: JsonFault) {
    super(fault.problem);
    this.fault = fault;
  }
}

const BLANKS = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON strings must not hold them
const CLEAN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const WORD = /true|false|null/y;

/**
 * Finds the first fault of a JSON text: against the grammar, a key given twice, more than the limits allow. Nothing is built.
 *
 * @returns undefined when there is none
 */
export function findJsonFault(text: string, limits: JsonLimits): JsonFault | undefined {
  let at = 0;
  let values = 0;
  const fail = (code: JsonFault["code"], problem: string): never => {
    throw new Found({ at, code, problem });
  };
  const skip = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    const moved = pattern.lastIndex > at;
    at = pattern.lastIndex;
    return moved;
  };
  const expectChar = (char: string) => {
    skip(BLANKS);
    if (text[at] !== char)
      fail("JSON_INVALID", at < text.length ? `expected ${char}` : `ends where ${char} is expected`);
    at++;
  };

  /** Its text as written, in quotes. */
  function string(): string {
    const start = at;
    expectChar('"');
    for (;;) {
      skip(CLEAN);
      if (text[at] === '"') return text.slice(start, ++at);
      if (at >= text.length) fail("JSON_INVALID", "ends within a string");
      if (text[at] !== "\\") fail("JSON_INVALID", "has an unescaped control character in a string");
      if (!skip(ESCAPE)) fail("JSON_INVALID", "has an unknown escape in a string");
    }
  }

  function items(close: string, item: () => void): void {
    at++;
    skip(BLANKS);
    if (text[at] === close) {
      at++;
      return;
    }
    for (;;) {
      item();
      skip(BLANKS);
      if (text[at] !== ",") break;
      if (++values > limits.values) fail("JSON_TOO_LARGE", `has more than ${limits.values} values`);
      at++;
    }
    expectChar(close);
  }

  function number(): boolean {
    const start = at;
    if (!skip(NUMBER)) return false;
    if (limits.naturalsOnly === true && /\D/.test(text.slice(start, at))) {
      at = start;
      fail("JSON_INVALID", "has a number that is not whole where only whole ones are allowed");
    }
    return true;
  }

  function value(depth: number): void {
    skip(BLANKS);
    const char = text[at];
    if ((char === "{" || char === "[") && depth >= limits.depth) {
      fail("JSON_TOO_DEEP", `is nested deeper than ${limits.depth}`);
    }
    if (char === "[") items("]", () => value(depth + 1));
    else if (char === "{") {
      const keys = new Set<string>();
      items("}", () => {
        skip(BLANKS);
        const start = at;
        const written = string();
        const key: string = written.includes("\\") ? JSON.parse(written) : written.slice(1, -1);
        if (keys.has(key)) {
          at = start;
          fail("JSON_DUPLICATE_KEY", "gives a key twice");
        }
        keys.add(key);
        expectChar(":");
        value(depth + 1);
      });
    } else if (char === '"') string();
    else if (!number() && !skip(WORD)) {
      fail("JSON_INVALID", at < text.length ? "expected a value" : "ends where a value is expected");
    }
  }

  try {
    value(0);
    skip(BLANKS);
    if (at < text.length) fail("JSON_INVALID", "goes on after its end");
    return undefined;
  } catch (error) {
    if (error instanceof Found) return error.fault;
    throw error;
  }
}

/**
 * `JSON.parse` for files from outside: depth and size are bounded before anything is built, and a key given twice is an
 * error instead of silently the last one.
 *
 * @throws {BoosterError} `JSON_INVALID`, `JSON_TOO_DEEP`, `JSON_TOO_LARGE`, `JSON_DUPLICATE_KEY`.
 * @example
 * parseStrictJson('{"a": 1, "a": 2}', "config.json"); // JSON_DUPLICATE_KEY
 */
export function parseStrictJson(text: string, where: string, limits: JsonLimits = CONFIG_LIMITS): unknown {
  const fault = findJsonFault(text, limits);
  if (fault === undefined) return JSON.parse(text);
  const before = text.slice(0, fault.at).split("\n");
  const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
  throw new BoosterError(fault.code, `this JSON ${fault.problem}`, { where: `${where}: ${place}` });
}

/** Whether a JSON value is an object, no array. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Decodes UTF-8 strictly, then parses. @throws {BoosterError} as `parseStrictJson`. */
export function decodeStrictJson(bytes: Uint8Array, where: string, limits: JsonLimits = CONFIG_LIMITS): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BoosterError("JSON_INVALID", "the text is not valid UTF-8", { where, cause });
  }
  return parseStrictJson(text, where, limits);
}
