import { print } from "./print.ts";
import { type Native, native } from "./signature.ts";
import { Markup, Text } from "./text.ts";
import {
  compare,
  contains,
  Dict,
  defined,
  equal,
  Func,
  fault,
  integerOf,
  isFloat,
  isNumber,
  List,
  Tuple,
  Undefined,
  type Value,
} from "./values.ts";

/** Remainder as Python has it: with the sign of the divisor. @throws {TemplateFault} */
export function modulo(a: Value, b: Value): bigint | number {
  const [x, y] = [integerOf(a), integerOf(b)];
  if (x !== undefined && y !== undefined) {
    if (y === 0n) throw fault("integer modulo by zero");
    return ((x % y) + y) % y;
  }
  if (!isNumber(a) || !isNumber(b)) throw fault("a remainder needs numbers");
  const divisor = Number(b);
  if (divisor === 0) throw fault("float modulo by zero");
  const rest = Number(a) % divisor;
  if (rest === 0) return divisor < 0 ? -0 : 0;
  return rest < 0 !== divisor < 0 ? rest + divisor : rest;
}

const is = (test: (value: Value) => boolean) => native<[Value]>("", test);
const order = (sign: string, test: (difference: number) => boolean) =>
  native<[Value]>("other", (value, other) => {
    // Nothing is less or greater than what is no number.
    if (Number.isNaN(value) || Number.isNaN(other)) return false;
    return test(compare(value, other ?? null, sign));
  });
const same = native<[Value]>("other", (value, other) => equal(value, other ?? null));
const different = native<[Value]>("other", (value, other) => !equal(value, other ?? null));
const [less, lessOrEqual] = [order("<", (d) => d < 0), order("<=", (d) => d <= 0)];
const [greater, greaterOrEqual] = [order(">", (d) => d > 0), order(">=", (d) => d >= 0)];
const isContainer = (value: Value) =>
  value instanceof Text ||
  value instanceof List ||
  value instanceof Tuple ||
  value instanceof Dict ||
  value instanceof Undefined;
const cased = (value: Value, change: (text: string) => string) => {
  const { text } = print(value);
  return change(text) === text && /\p{Cased}/u.test(text);
};

/** Tests of Jinja, `value is name(arguments)`. */
export const TESTS: Readonly<Record<string, Native<[Value]>>> = {
  defined: is((value) => !(value instanceof Undefined)),
  undefined: is((value) => value instanceof Undefined),
  none: is((value) => value === null),
  boolean: is((value) => typeof value === "boolean"),
  true: is((value) => value === true),
  false: is((value) => value === false),
  integer: is((value) => typeof value === "bigint"),
  float: is(isFloat),
  number: is(isNumber),
  string: is((value) => value instanceof Text),
  mapping: is((value) => value instanceof Dict),
  sequence: is(isContainer),
  iterable: is(isContainer),
  callable: is((value) => value instanceof Func),
  escaped: is((value) => value instanceof Markup),
  odd: is((value) => equal(modulo(defined(value), 2n), 1n)),
  even: is((value) => equal(modulo(defined(value), 2n), 0n)),
  divisibleby: native("num", (value, num) => equal(modulo(defined(value), num ?? null), 0n)),
  lower: is((value) => cased(value, (text) => text.toLowerCase())),
  upper: is((value) => cased(value, (text) => text.toUpperCase())),
  sameas: native("other", (value, other) => {
    const scalar = value === null || typeof value !== "object";
    return scalar
      ? typeof value === typeof other && value === other
      : value === other || (value instanceof Text && other instanceof Text && value.text === other.text);
  }),
  in: native("seq", (value, seq) => contains(seq ?? null, value)),
  eq: same,
  equalto: same,
  ne: different,
  lt: less,
  lessthan: less,
  le: lessOrEqual,
  gt: greater,
  greaterthan: greater,
  ge: greaterOrEqual,
  "==": same,
  "!=": different,
  "<": less,
  "<=": lessOrEqual,
  ">": greater,
  ">=": greaterOrEqual,
};

/** `a sign b`, as comparisons and `in` have it. @throws {TemplateFault} */
export function compares(a: Value, sign: string, b: Value): boolean {
  if (sign === "in") return contains(b, a);
  if (sign === "not in") return !contains(b, a);
  return TESTS[sign]?.run(a, b) === true;
}
