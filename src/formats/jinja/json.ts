import { floatText } from "./print.ts";
import { Text } from "./text.ts";
import { Dict, fault, isNumber, List, Tuple, typeName, type Value } from "./values.ts";

/** As Python's `json.dumps` takes them. */
export interface JsonStyle {
  readonly asciiOnly: boolean;
  /** What one level is indented by; undefined for one line. */
  readonly indent: string | undefined;
  readonly between: string;
  readonly afterKey: string;
  readonly sorted: boolean;
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\f": "\\f",
  "\b": "\\b",
};
const escapeUnit = (unit: string) => SHORT[unit] ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

function jsonString(value: Text, { asciiOnly }: JsonStyle): Text {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON escapes exactly these
  const special = asciiOnly ? /["\\]|[^ -~]/g : /["\\\u0000-\u001f]/g;
  return Text.join(['"', value.map((part) => part.replace(special, escapeUnit)), '"']);
}

function jsonNumber(value: bigint | number | boolean): string {
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return String(value);
  if (Number.isNaN(value)) return "NaN";
  return Number.isFinite(value) ? floatText(value) : value > 0 ? "Infinity" : "-Infinity";
}

function keyText(key: Value): Text {
  if (key instanceof Text) return key;
  if (key === null) return new Text("null");
  if (isNumber(key)) return new Text(jsonNumber(key));
  throw fault(`keys must be str, int, float, bool or None, not ${typeName(key)}`);
}

/** @throws {TemplateFault} where a value has no JSON */
export function toJson(value: Value, style: JsonStyle, level = ""): Text {
  if (value === null) return new Text("null");
  if (isNumber(value)) return new Text(jsonNumber(value));
  if (value instanceof Text) return jsonString(value, style);
  const inner = level + (style.indent ?? "");
  const bracketed = (open: string, parts: readonly Text[], close: string): Text => {
    if (parts.length === 0) return new Text(open + close);
    const line = style.indent === undefined ? "" : `\n${inner}`;
    const last = style.indent === undefined ? "" : `\n${level}`;
    return Text.join([
      open,
      line,
      ...parts.flatMap((part, place) => (place === 0 ? [part] : [style.between, line, part])),
      last,
      close,
    ]);
  };
  if (value instanceof List || value instanceof Tuple) {
    return bracketed(
      "[",
      value.items.map((item) => toJson(item, style, inner)),
      "]",
    );
  }
  if (value instanceof Dict) {
    const pairs = value.pairs().map(([key, item]) => ({ key: keyText(key), item }));
    if (style.sorted) pairs.sort((a, b) => (a.key.text < b.key.text ? -1 : a.key.text > b.key.text ? 1 : 0));
    return bracketed(
      "{",
      pairs.map(({ key, item }) => Text.join([jsonString(key, style), style.afterKey, toJson(item, style, inner)])),
      "}",
    );
  }
  throw fault(`Object of type ${typeName(value)} is not JSON serializable`);
}
