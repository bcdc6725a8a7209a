import { spend, TemplateFault } from "./limits.ts";
import { Text } from "./text.ts";

/** Integers are bigints, floats are numbers. */
export type Value = null | boolean | bigint | number | Text | List | Tuple | Dict | Undefined | Namespace | Func;

export class List {
  readonly items: readonly Value[];
  /** What Python calls it where it is no list, such as `dict_items`, or all that it writes of it, such as `range(0, 3)`. */
  readonly view: string | undefined;
  constructor(items: readonly Value[], view?: string) {
    spend(1 + items.length / 8);
    this.items = items;
    this.view = view;
  }
}

export class Tuple {
  readonly items: readonly Value[];
  /** Of the first items, where they have some. */
  readonly names: readonly string[];
  constructor(items: readonly Value[], names: readonly string[] = []) {
    this.items = items;
    this.names = names;
  }
}

/** What a name without a value stands for: prints as nothing, is false, and nearly all else is an error. */
export class Undefined {
  readonly problem: string;
  constructor(problem: string) {
    this.problem = problem;
  }
}

export class Dict {
  private readonly entries = new Map<string, readonly [Value, Value]>();
  /** Keys that were asked for, whether they are there or not. */
  readonly read = new Set<string>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    for (const [key, value] of entries) {
      const hash = hashOf(key);
      this.entries.set(hash, [this.entries.get(hash)?.[0] ?? key, value]);
    }
    spend(this.size / 8);
  }

  get(key: Value): Value | undefined {
    if (key instanceof Text) this.read.add(key.text);
    return this.entries.get(hashOf(key))?.[1];
  }

  pairs(): (readonly [Value, Value])[] {
    spend(this.size / 8);
    for (const [key] of this.entries.values()) if (key instanceof Text) this.read.add(key.text);
    return [...this.entries.values()];
  }

  get size(): number {
    return this.entries.size;
  }
}

export class Namespace {
  readonly attributes = new Map<string, Value>();
}

export type Kwargs = ReadonlyMap<string, Value>;

export class Func {
  readonly name: string;
  readonly call: (args: readonly Value[], kwargs: Kwargs) => Value;
  /** What can be read of it, such as `loop.index`. */
  readonly attribute: (name: string) => Value | undefined;
  constructor(name: string, call: Func["call"], attribute: Func["attribute"] = () => undefined) {
    this.name = name;
    this.call = call;
    this.attribute = attribute;
  }
}

export const text = (value: string): Text => new Text(value);
export const isNumber = (value: Value): value is bigint | number | boolean =>
  typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
export const isFloat = (value: Value): value is number => typeof value === "number";

/** A value, or another where it is not there; null is `None`, and there. */
export const orElse = <T extends Value>(value: Value | undefined, otherwise: T): Value | T =>
  value === undefined ? otherwise : value;

/** `True` counts as 1. */
export const integerOf = (value: Value): bigint | undefined =>
  typeof value === "bigint" ? value : typeof value === "boolean" ? BigInt(value) : undefined;

export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (value instanceof Text) return "str";
  if (value instanceof List) return "list";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Dict) return "dict";
  if (value instanceof Namespace) return "Namespace";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Func) return "function";
  return typeof value === "boolean" ? "bool" : typeof value === "bigint" ? "int" : "float";
}

export const fault = (problem: string) => new TemplateFault(problem);

/** @throws {TemplateFault} where the value is undefined */
export function defined<T extends Value>(value: T): Exclude<T, Undefined> {
  if (value instanceof Undefined) throw fault(value.problem);
  return value as Exclude<T, Undefined>;
}

/** @throws {TemplateFault} where the value is no integer */
export function int(value: Value): number {
  const integer = integerOf(value);
  if (integer === undefined) throw fault(`'${typeName(value)}' object cannot be interpreted as an integer`);
  return Number(integer);
}

/** @throws {TemplateFault} where the value is no string */
export function str(value: Value): Text {
  if (value instanceof Text) return value;
  throw fault(`expected a string, got '${typeName(defined(value))}'`);
}

export function truthy(value: Value): boolean {
  if (value instanceof Text) return value.text !== "";
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value === null || value instanceof Undefined) return false;
  return value instanceof Namespace || value instanceof Func || Boolean(value);
}

/** Equal numbers of different types have one text; their values count exactly, unlike in `Number`. */
const numberText = (value: bigint | number | boolean): string =>
  typeof value === "number" && !Number.isInteger(value) ? String(value) : String(BigInt(value));

/** Equal values of different number types are one key, as in Python. */
export function hashOf(key: Value): string {
  spendOn(key);
  if (key instanceof Text) return `s${key.text}`;
  if (key === null) return "none";
  if (isNumber(key)) return `n${numberText(key)}`;
  // A name without a value has a hash in Jinja, and equals others of its kind.
  if (key instanceof Undefined) return "undefined";
  if (key instanceof Tuple) return `t${key.items.map(hashOf).map((hash) => hash.length + hash)}`;
  throw fault(`unhashable type: '${typeName(key)}'`);
}

/** Counts that a value is gone through. */
export function spendOn(value: Value): void {
  if (value instanceof Text) spend(1 + value.text.length / 16);
  else spend(1 + (value instanceof List || value instanceof Tuple ? value.items.length / 8 : 0));
}

/** The things in a value, in their order. @throws {TemplateFault} where there is nothing to go through */
export function iterate(value: Value): readonly Value[] {
  if (value instanceof List || value instanceof Tuple) return value.items;
  if (value instanceof Text) return value.characters();
  if (value instanceof Dict) return value.pairs().map(([key]) => key);
  if (value instanceof Undefined) return [];
  throw fault(`'${typeName(value)}' object is not iterable`);
}

export function lengthOf(value: Value): number {
  if (value instanceof Text) return value.length;
  if (value instanceof List || value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof Undefined) return 0;
  throw fault(`object of type '${typeName(value)}' has no len()`);
}

export function equal(a: Value, b: Value): boolean {
  spend(1);
  if (isNumber(a) && isNumber(b)) return !Number.isNaN(a) && numberText(a) === numberText(b);
  if (a instanceof Text && b instanceof Text) {
    spend(a.text.length === b.text.length ? a.text.length / 64 : 0);
    return a.text === b.text;
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    return a.items.length === b.items.length && a.items.every((item, i) => equal(item, b.items[i] as Value));
  }
  if (a instanceof Dict && b instanceof Dict) {
    if (a.size !== b.size) return false;
    return a.pairs().every(([key, value]) => {
      const other = b.get(key);
      return other !== undefined && equal(value, other);
    });
  }
  if (a instanceof Undefined && b instanceof Undefined) return true;
  return a === b;
}

/** By code points, unlike JavaScript's order of UTF-16 units. */
function compareTexts(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  let place = 0;
  while (place < shorter && a[place] === b[place]) place++;
  spend(1 + place / 16);
  if (place === shorter) return a.length - b.length;
  // Two characters that differ may share their first unit.
  if (place > 0 && /[\ud800-\udbff]/.test(a[place - 1] as string)) place--;
  return (a.codePointAt(place) as number) - (b.codePointAt(place) as number);
}

/** Negative, zero or positive. @throws {TemplateFault} where Python has no order */
export function compare(a: Value, b: Value, sign = "<"): number {
  spend(1);
  if (isNumber(a) && isNumber(b)) {
    return a < b ? -1 : a > b ? 1 : 0;
  }
  if (a instanceof Text && b instanceof Text) return compareTexts(a.text, b.text);
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    const place = a.items.findIndex((item, i) => i < b.items.length && !equal(item, b.items[i] as Value));
    if (place < 0) return a.items.length - b.items.length;
    return compare(a.items[place] as Value, b.items[place] as Value, sign);
  }
  const [left, right] = [typeName(defined(a)), typeName(defined(b))];
  throw fault(`'${sign}' not supported between instances of '${left}' and '${right}'`);
}

export function contains(container: Value, item: Value): boolean {
  spendOn(container);
  if (container instanceof Text) return container.text.includes(str(item).text);
  if (container instanceof Dict) return container.get(item) !== undefined;
  if (container instanceof Namespace || container instanceof Func || isNumber(container) || container === null) {
    throw fault(`argument of type '${typeName(container)}' is not iterable`);
  }
  return iterate(container).some((other) => equal(other, item));
}
