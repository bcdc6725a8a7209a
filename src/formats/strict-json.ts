import { BoosterError } from "../errors.ts";

/** What a JSON document from outside may contain. */
export interface JsonLimits {
  /** Nesting of objects and arrays. */
  readonly depth: number;
  /** Keys, and elements of arrays, altogether: bounds the memory that parsing takes. */
  readonly values: number;
  /** Refuse fractions, exponents and minus signs (for headers that hold counts only). */
  readonly naturalsOnly?: boolean;
}

/** Limits for hand-written files such as config.json. */
export const CONFIG_LIMITS: JsonLimits = { depth: 64, values: 200_000 };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * `JSON.parse` for files from outside: depth and size are bounded before anything is built, and a key given twice is an
 * error instead of silently the last one.
 *
 * @throws {BoosterError} `JSON_INVALID`, `JSON_TOO_DEEP`, `JSON_TOO_LARGE`, `JSON_DUPLICATE_KEY`.
 * @example
 * parseStrictJson('{"a": 1, "a": 2}', "config.json"); // JSON_DUPLICATE_KEY
 */
export function parseStrictJson(text: string, where: string, limits: JsonLimits = CONFIG_LIMITS): unknown {
  checkStructure(text, where, limits);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BoosterError("JSON_INVALID", "this is not valid JSON", { where, cause, found: (cause as Error).message });
  }
}

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

/** Grammar is left to `JSON.parse`; this pass only needs to be right for valid documents and bounded for others. */
function checkStructure(text: string, where: string, limits: JsonLimits): void {
  const open: Set<string>[] = [];
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) {
      const end = endOfString(text, i, where);
      const key = keyAt(text, i, end);
      if (key !== undefined) {
        const keys = open.at(-1);
        if (keys?.has(key)) {
          throw new BoosterError("JSON_DUPLICATE_KEY", "a key is given twice", { found: shorten(key), where });
        }
        keys?.add(key);
      }
      i = end;
    } else if (char === OPEN_BRACE || char === OPEN_BRACKET) {
      open.push(new Set());
      if (open.length > limits.depth) {
        throw new BoosterError("JSON_TOO_DEEP", "the document is nested too deeply", {
          expected: `at most ${limits.depth} levels`,
          where,
        });
      }
    } else if (char === CLOSE_BRACE || char === CLOSE_BRACKET) {
      open.pop();
    } else if (char === COMMA && ++values > limits.values) {
      throw new BoosterError("JSON_TOO_LARGE", "the document has too many values", {
        expected: `at most ${limits.values}`,
        where,
      });
    } else if (limits.naturalsOnly === true && isFraction(text, i, char)) {
      throw new BoosterError("JSON_INVALID", "only whole numbers are allowed here", {
        found: text.slice(Math.max(0, i - 8), i + 8),
        where,
      });
    }
  }
}

function endOfString(text: string, start: number, where: string): number {
  for (let i = start + 1; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) return i;
    if (char === BACKSLASH) i++;
  }
  throw new BoosterError("JSON_INVALID", "a string does not end", { where });
}

/** The string between two quotes if a colon follows it, unescaped so that `"a"` and `"\u0061"` are the same key. */
function keyAt(text: string, start: number, end: number): string | undefined {
  let next = end + 1;
  while (next < text.length && text.charCodeAt(next) <= 0x20) next++;
  if (text.charCodeAt(next) !== COLON) return undefined;
  const raw = text.slice(start + 1, end);
  if (!raw.includes("\\")) return raw;
  try {
    return JSON.parse(text.slice(start, end + 1)) as string;
  } catch {
    // An invalid escape: JSON.parse reports it with its position when it reads the whole document.
    return raw;
  }
}

function isFraction(text: string, i: number, char: number): boolean {
  if (char === 0x2e || char === 0x2d) return true;
  const isExponent = char === 0x65 || char === 0x45;
  const before = i > 0 ? text.charCodeAt(i - 1) : 0;
  return isExponent && before >= 0x30 && before <= 0x39;
}

const shorten = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
