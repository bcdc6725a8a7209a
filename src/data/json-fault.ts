/** What is wrong with a JSON text, and at which character (from 0). */
export interface JsonFault {
  readonly at: number;
  readonly code: "JSON_INVALID" | "JSON_TOO_DEEP" | "JSON_DUPLICATE_KEY";
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
 * Finds the first fault of a JSON text, for a message with a column; `JSON.parse` does not always tell one, and its
 * messages quote the text.
 *
 * @returns undefined when there is none
 */
export function findJsonFault(text: string, maxDepth: number): JsonFault | undefined {
  let at = 0;
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

  function string(): string {
    const start = at;
    expectChar('"');
    for (;;) {
      skip(CLEAN);
      if (text[at] === '"') return JSON.parse(text.slice(start, ++at));
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
      if (text[at] === ",") at++;
      else break;
    }
    expectChar(close);
  }

  function value(depth: number): void {
    skip(BLANKS);
    const char = text[at];
    if ((char === "{" || char === "[") && depth >= maxDepth) fail("JSON_TOO_DEEP", `is nested deeper than ${maxDepth}`);
    if (char === "[") items("]", () => value(depth + 1));
    else if (char === "{") {
      const keys = new Set<string>();
      items("}", () => {
        skip(BLANKS);
        const start = at;
        const key = string();
        if (keys.has(key)) {
          at = start;
          fail("JSON_DUPLICATE_KEY", "gives a key twice");
        }
        keys.add(key);
        expectChar(":");
        value(depth + 1);
      });
    } else if (char === '"') string();
    else if (!skip(NUMBER) && !skip(WORD)) {
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
