import { Markup, Text } from "./text.ts";
import { Dict, Func, List, Namespace, Tuple, Undefined, type Value } from "./values.ts";

/** Python's `repr` of a float: the shortest digits that give it back, an exponent below 1e-4 and from 1e16 on. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) {
    const digits = String(value);
    return /[.e]/.test(digits) ? plainDigits(value, digits) : `${digits}.0`;
  }
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** JavaScript takes an exponent from 1e21 on and below 1e-6. */
const plainDigits = (value: number, digits: string): string =>
  digits.includes("e") ? value.toFixed(20).replace(/0+$/, "") : digits;

const ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const UNPRINTABLE = /[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

function escapeUnprintable(char: string): string {
  const code = char.codePointAt(0) as number;
  const hex = code.toString(16);
  if (code < 256) return `\\x${hex.padStart(2, "0")}`;
  return code < 65536 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

function quoted(value: Text): Text {
  const quote = value.text.includes("'") && !value.text.includes('"') ? '"' : "'";
  const inner = value.map((part) =>
    part.replace(UNPRINTABLE, (char) => ESCAPES[char] ?? escapeUnprintable(char)).replaceAll(quote, `\\${quote}`),
  );
  const whole = [quote, inner, quote];
  return Text.join(value instanceof Markup ? ["Markup(", ...whole, ")"] : whole);
}

const between = (parts: readonly Text[]): (Text | string)[] =>
  parts.flatMap((part, place) => (place === 0 ? [part] : [", ", part]));

/** Python's `repr`. */
export function repr(value: Value): Text {
  if (value instanceof Text) return quoted(value);
  if (value instanceof List) {
    // A range says what it is, however long it is.
    if (value.view?.endsWith(")")) return new Text(value.view);
    const inner = between(value.items.map(repr));
    return Text.join(value.view === undefined ? ["[", ...inner, "]"] : [value.view, "([", ...inner, "])"]);
  }
  if (value instanceof Tuple) {
    return Text.join(["(", ...between(value.items.map(repr)), value.items.length === 1 ? ",)" : ")"]);
  }
  if (value instanceof Dict) {
    const pairs = value.pairs().map(([key, item]) => Text.join([repr(key), ": ", repr(item)]));
    return Text.join(["{", ...between(pairs), "}"]);
  }
  if (value instanceof Undefined) return new Text("Undefined");
  return print(value);
}

/** Python's `str`, as `{{ }}` writes it. */
export function print(value: Value): Text {
  if (value instanceof Text) return value;
  if (value === null) return new Text("None");
  if (typeof value === "boolean") return new Text(value ? "True" : "False");
  if (typeof value === "bigint") return new Text(String(value));
  if (typeof value === "number") return new Text(floatText(value));
  if (value instanceof Undefined) return new Text("");
  if (value instanceof Namespace) return new Text("<Namespace>");
  if (value instanceof Func) return new Text(`<function ${value.name}>`);
  return repr(value);
}
