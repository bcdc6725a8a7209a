import { TemplateFault } from "./limits.ts";

/** What Python's `str.isspace` and `\s` take for blanks. */
export const BLANKS = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const S = `[${BLANKS}]`;

export interface Token {
  readonly kind: "data" | "begin" | "end" | "name" | "string" | "integer" | "float" | "operator" | "eof";
  /** Of `begin` and `end`: `{{` or `{%`. */
  readonly value: string;
  readonly line: number;
}

const OPENING = new RegExp(`\\{%([-+]?)${S}*raw${S}*(?:-%\\}${S}*|%\\})|\\{([%{#])([-+]?)`, "gu");
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${S}*|#\\}\\n?`, "gu");
const RAW_END = new RegExp(`\\{%([-+]?)${S}*endraw${S}*(?:\\+%\\}|-%\\}${S}*|%\\}\\n?)`, "gu");
const ENDS = {
  "{%": new RegExp(`\\+%\\}|-%\\}${S}*|%\\}\\n?`, "uy"),
  "{{": new RegExp(`-\\}\\}${S}*|\\}\\}`, "uy"),
};
const INSIDE: readonly (readonly [Token["kind"] | "blank", RegExp])[] = [
  ["blank", new RegExp(`${S}+`, "uy")],
  ["float", /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/uy],
  ["integer", /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/uy],
  ["name", /[\p{L}\p{M}\p{N}_]+/uy],
  ["string", /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/uy],
  ["operator", /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/uy],
];
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** A string literal's text, by Python's escapes; unknown ones stay as they are. */
function unescaped(literal: string): string {
  const escapes = /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g;
  return literal.slice(1, -1).replace(escapes, (whole, x, u, wide, octal, char: string) => {
    if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
    const code = Number.parseInt(x ?? u ?? wide ?? "", 16);
    if (code <= 0x10ffff) return String.fromCodePoint(code);
    if (!Number.isNaN(code) || "xuUN".includes(char)) throw new TemplateFault(`bad escape ${whole} in a string`);
    return SIMPLE[char] ?? whole;
  });
}

const BLANK = new RegExp(S, "u");
/** Whether a character is blank. */
export const isBlank = (char: string): boolean => BLANK.test(char);

function rstrip(text: string): string {
  let end = text.length;
  while (end > 0 && isBlank(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** What is left of the text before a tag: `-` takes all blanks away; a statement alone on its line, its indentation. */
function textBefore(text: string, sign: string, isVariable: boolean, lineStarts: boolean): string {
  if (sign === "-") return rstrip(text);
  if (sign === "+" || isVariable) return text;
  const line = text.lastIndexOf("\n") + 1;
  return (line > 0 || lineStarts) && rstrip(text.slice(line)) === "" ? text.slice(0, line) : text;
}

/**
 * Cuts a template into tokens as Jinja does with `trim_blocks` and `lstrip_blocks`, which chat templates are written for.
 *
 * @throws {TemplateFault}
 */
export function lex(template: string): Token[] {
  const source = template.replace(/\r\n?/g, "\n").replace(/\n$/, "");
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  let counted = 0;
  let lineStarts = true;
  const lineAt = (place: number) => {
    for (; counted < place; counted++) if (source[counted] === "\n") line++;
    return line;
  };
  const push = (kind: Token["kind"], value: string) => tokens.push({ kind, value, line: lineAt(at) });
  const find = (pattern: RegExp, what: string): RegExpExecArray => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match === null) throw new TemplateFault(`${what} (line ${lineAt(at)})`);
    return match;
  };
  const goBehind = (match: RegExpExecArray) => {
    at = match.index + match[0].length;
    lineStarts = match[0].endsWith("\n");
  };
  const pushText = (until: number, sign: string, isVariable: boolean) => {
    const text = textBefore(source.slice(at, until), sign, isVariable, lineStarts);
    if (text !== "") push("data", text);
  };

  function lexTag(begin: "{%" | "{{"): void {
    push("begin", begin);
    const open: string[] = [];
    for (;;) {
      const end = ENDS[begin];
      end.lastIndex = at;
      const closing = open.length === 0 ? end.exec(source) : null;
      if (closing !== null) {
        push("end", begin);
        goBehind(closing);
        return;
      }
      const rule = INSIDE.find(([, pattern]) => {
        pattern.lastIndex = at;
        return pattern.test(source);
      });
      if (rule === undefined)
        throw new TemplateFault(`a tag is not closed, or has a bad character (line ${lineAt(at)})`);
      const [kind, pattern] = rule;
      const value = source.slice(at, pattern.lastIndex);
      if (kind === "operator") {
        const close = CLOSING[value];
        if (close !== undefined) open.push(close);
        else if (/^[)\]}]$/.test(value) && open.pop() !== value) {
          throw new TemplateFault(`unexpected '${value}' (line ${lineAt(at)})`);
        }
      }
      if (kind !== "blank") push(kind, kind === "string" ? unescaped(value) : value);
      at += value.length;
    }
  }

  while (at < source.length) {
    OPENING.lastIndex = at;
    const opening = OPENING.exec(source);
    if (opening === null) {
      push("data", source.slice(at));
      break;
    }
    const [whole, rawSign, type, sign] = opening;
    pushText(opening.index, rawSign ?? sign ?? "", type === "{");
    at = opening.index + whole.length;
    lineStarts = false;
    if (type === "#") goBehind(find(COMMENT_END, "a comment is not closed"));
    else if (type !== undefined) lexTag(`{${type}` as "{%" | "{{");
    else {
      lineStarts = whole.endsWith("\n");
      const end = find(RAW_END, "a raw block is not closed");
      pushText(end.index, end[1] ?? "", false);
      goBehind(end);
    }
  }
  push("eof", "");
  return tokens;
}
