import { print, repr } from "./print.ts";
import { Text } from "./text.ts";
import { Dict, fault, integerOf, isNumber, type Kwargs, text, typeName, type Value } from "./values.ts";

/** A format specification of Python: `[[fill]align][sign][#][0][width][,][.precision][type]`. */
const SPEC = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([bcdeEfFgGnosxX%])?$/su;
/** Beyond this many digits JavaScript cannot print a number, and nobody reads it. */
const MAX_PRECISION = 100;
const MAX_WIDTH = 10_000;

/** `toExponential` with at least two digits of exponent. */
const exponential = (value: number, precision: number) =>
  value.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");

function general(value: number, precision: number, alternate: boolean): string {
  const digits = Math.max(1, precision);
  if (value === 0) return "0";
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  const fixed = exponent >= -4 && exponent < digits;
  const shown = fixed ? value.toFixed(Math.min(MAX_PRECISION, digits - 1 - exponent)) : exponential(value, digits - 1);
  return alternate ? shown : shown.replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
}

const grouped = (digits: string, mark: string) => digits.replace(/\B(?=(\d{3})+(?!\d))/g, mark);

/** The digits of a number without its sign. */
function digitsOf(
  value: bigint | number | boolean,
  type: string,
  precision: number | undefined,
  alternate: boolean,
): string {
  const integer = integerOf(value);
  const size = Math.abs(Number(value));
  const places = Math.min(MAX_PRECISION, precision ?? 6);
  if (integer !== undefined && "bcdnoxX".includes(type || "d")) {
    const whole = integer < 0n ? -integer : integer;
    const bases: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };
    if (type === "c") return String.fromCodePoint(Number(whole));
    const digits = whole.toString(bases[type] ?? 10);
    const prefixed = alternate && type in bases ? `0${type.toLowerCase()}${digits}` : digits;
    return type === "X" ? prefixed.toUpperCase() : prefixed;
  }
  if (!Number.isFinite(size)) return Number.isNaN(size) ? "nan" : "inf";
  if (type === "e" || type === "E") {
    const shown = exponential(size, places);
    return type === "E" ? shown.toUpperCase() : shown;
  }
  if (type === "f" || type === "F") return fixed(size, places);
  if (type === "%") return `${fixed(size * 100, places)}%`;
  if (type === "g" || type === "G" || type === "n") {
    const shown = general(size, places, alternate);
    return type === "G" ? shown.toUpperCase() : shown;
  }
  if (type === "") return precision === undefined ? print(size).text : general(size, places, alternate);
  throw fault(`Unknown format code '${type}' for object of type '${typeName(value)}'`);
}

/** A positive number with some places behind the point; a tie goes to the even digit, where `toFixed` takes the larger. */
export function fixed(size: number, places: number): string {
  if (size >= 1e21) return BigInt(size).toString() + (places > 0 ? `.${"0".repeat(places)}` : "");
  const shown = size.toFixed(places);
  const exact = size.toFixed(MAX_PRECISION);
  const behind = exact.slice(exact.indexOf(".") + 1 + places);
  if (!/^50*$/.test(behind) || !/[13579]$/.test(shown)) return shown;
  const below = exact.slice(0, exact.indexOf(".") + 1 + places);
  return places === 0 ? below.slice(0, -1) : below;
}

function aligned(body: Text, width: number, fill: string, align: string): Text {
  const space = width - body.length;
  if (space <= 0) return body;
  if (width > MAX_WIDTH) throw fault("the width of a format is too large");
  const left = align === ">" ? space : align === "^" ? space >> 1 : 0;
  return Text.join([fill.repeat(left), body, fill.repeat(space - left)]);
}

/** Python's `format(value, spec)`. @throws {TemplateFault} */
export function formatValue(value: Value, spec: string): Text {
  if (spec === "") return print(value);
  const match = SPEC.exec(spec);
  if (match === null) throw fault(`Invalid format specifier '${spec}'`);
  const [, fill, align, sign = "-", alternate, zero, width = "0", mark, precision, type = ""] = match;
  const places = precision === undefined ? undefined : Number(precision);
  if (!isNumber(value) || (typeof value === "boolean" && type === "")) {
    if (!(value instanceof Text) && typeof value !== "boolean") {
      throw fault(`unsupported format string passed to ${typeName(value)}.__format__`);
    }
    if (type !== "" && type !== "s")
      throw fault(`Unknown format code '${type}' for object of type '${typeName(value)}'`);
    const whole = print(value);
    const body = places === undefined ? whole : whole.range(0, Math.min(places, whole.length));
    return aligned(body, Number(width), fill ?? (zero === undefined ? " " : "0"), align ?? "<");
  }
  const negative = typeof value === "number" ? value < 0 || Object.is(value, -0) : Number(value) < 0;
  const front = negative ? "-" : sign === "-" ? "" : sign;
  const plain = digitsOf(value, type, places, alternate !== undefined);
  const [whole = "", ...rest] = plain.split(/(?=[.e%])/);
  const digits = mark === undefined ? plain : grouped(whole, mark) + rest.join("");
  if (align === "=" || (align === undefined && zero !== undefined)) {
    const space = Math.min(MAX_WIDTH, Number(width)) - front.length - digits.length;
    return text(front + (fill ?? (zero === undefined ? " " : "0")).repeat(Math.max(0, space)) + digits);
  }
  return aligned(text(front + digits), Number(width), fill ?? " ", align ?? ">");
}

/** `"%s of %(name)d" % values`. @throws {TemplateFault} */
export function formatPercent(self: Text, values: readonly Value[], mapping: Value | undefined): Text {
  const parts: (Text | string)[] = [];
  let [end, used] = [0, 0];
  for (const match of self.text.matchAll(/%(?:\(([^)]*)\))?([-+ #0]*)(\d+|\*)?(?:\.(\d+|\*))?[hlL]?([\s\S])?/gu)) {
    parts.push(self.slice(end, match.index));
    end = match.index + match[0].length;
    const [whole, name, flags = "", width, precision, type = ""] = match;
    if (type === "%") {
      parts.push("%");
      continue;
    }
    const take = (): Value => {
      const value = values[used++];
      if (value === undefined) throw fault("not enough arguments for format string");
      return value;
    };
    const columns = width === "*" ? String(take()) : (width ?? "");
    const places = precision === "*" ? String(take()) : precision;
    if (name !== undefined && !(mapping instanceof Dict)) throw fault("format requires a mapping");
    const value = name === undefined ? take() : (mapping as Dict).get(text(name));
    if (value === undefined) throw fault(`the format's mapping lacks '${name}'`);
    parts.push(percentPart(value, type, flags, columns, places, whole));
  }
  parts.push(self.slice(end));
  if (mapping === undefined && used < values.length)
    throw fault("not all arguments converted during string formatting");
  return Text.join(parts);
}

function percentPart(
  value: Value,
  type: string,
  flags: string,
  width: string,
  places: string | undefined,
  whole: string,
): Text {
  const left = flags.includes("-");
  const precision = places === undefined ? "" : `.${places}`;
  if (type === "s" || type === "r" || type === "a") {
    return formatValue(type === "s" ? print(value) : repr(value), `${left ? "<" : ">"}${width}${precision}`);
  }
  if (type === "c" && value instanceof Text) return formatValue(value, `${left ? "<" : ">"}${width}`);
  if (!"diuoxXeEfFgGc".includes(type) || type === "") throw fault(`unsupported format '${whole}'`);
  if (!isNumber(value)) throw fault(`%${type} format: a real number is required, not ${typeName(value)}`);
  const sign = flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const align = left ? "<" : flags.includes("0") ? "0=" : ">";
  const isInteger = "diuoxX".includes(type);
  const number = isInteger && typeof value === "number" ? BigInt(Math.trunc(value)) : value;
  const alternate = flags.includes("#") ? "#" : "";
  const code = "diu".includes(type) ? "d" : type;
  return formatValue(number, `${align}${sign}${alternate}${width}${isInteger ? "" : precision}${code}`);
}

/** How a value's attributes and items are read. */
export interface Access {
  readonly attribute: (value: Value, name: string) => Value;
  readonly item: (value: Value, key: Value) => Value;
}

/** `"{} {0} {name[key].attribute!r:>8}".format(...)`. @throws {TemplateFault} */
export function formatBraces(self: Text, args: readonly Value[], kwargs: Kwargs, access: Access): Text {
  const parts: (Text | string)[] = [];
  let [end, automatic] = [0, 0];
  const field = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}|[{}]/gu;
  const resolve = (path: string): Value => {
    const [, head = "", tail = ""] = /^([^.[]*)([\s\S]*)$/u.exec(path) ?? [];
    const key = head === "" ? String(automatic++) : head;
    let value = /^\d+$/.test(key) ? args[Number(key)] : kwargs.get(key);
    if (value === undefined) throw fault(`no argument '${key}' for format()`);
    for (const step of tail.matchAll(/\.([^.[]+)|\[([^\]]+)\]/gu)) {
      const inner = step[2];
      value =
        inner === undefined
          ? access.attribute(value, step[1] as string)
          : access.item(value, /^\d+$/.test(inner) ? BigInt(inner) : text(inner));
    }
    return value;
  };
  for (const match of self.text.matchAll(field)) {
    parts.push(self.slice(end, match.index));
    end = match.index + match[0].length;
    const [whole, path, conversion, spec = ""] = match;
    if (whole === "{{" || whole === "}}") parts.push(whole[0] as string);
    else if (path === undefined) throw fault(`Single '${whole}' encountered in format string`);
    else {
      const value = resolve(path);
      const converted = conversion === undefined ? value : conversion === "s" ? print(value) : repr(value);
      parts.push(
        formatValue(
          converted,
          spec.replace(/\{([^{}]*)\}/gu, (_, inner: string) => print(resolve(inner)).text),
        ),
      );
    }
  }
  parts.push(self.slice(end));
  return Text.join(parts);
}
