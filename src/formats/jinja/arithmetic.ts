import { formatPercent } from "./format.ts";
import { spendOnLength } from "./limits.ts";
import { asHtml, like } from "./markup.ts";
import { modulo } from "./tests.ts";
import { Markup, Text } from "./text.ts";
import { Dict, defined, fault, int, integerOf, isNumber, List, Tuple, typeName, type Value } from "./values.ts";

/** Integers beyond this are a hostile template's. */
const MAX_INTEGER = 2n ** 4096n;

function bounded(value: bigint): bigint {
  if (value > MAX_INTEGER || value < -MAX_INTEGER) throw fault("the integer is too large");
  return value;
}

function unsupported(sign: string, a: Value, b: Value): never {
  const names = [typeName(defined(a)), typeName(defined(b))];
  throw fault(`unsupported operand type(s) for ${sign}: '${names[0]}' and '${names[1]}'`);
}

function numbers(
  sign: string,
  a: Value,
  b: Value,
  ints: (x: bigint, y: bigint) => Value,
  floats: (x: number, y: number) => Value,
) {
  const [x, y] = [integerOf(a), integerOf(b)];
  if (x !== undefined && y !== undefined) return ints(x, y);
  return isNumber(a) && isNumber(b) ? floats(Number(a), Number(b)) : unsupported(sign, a, b);
}

function nonZero<T extends bigint | number>(divisor: T): T {
  if (Number(divisor) === 0) throw fault("division by zero");
  return divisor;
}

export function add(a: Value, b: Value): Value {
  if (a instanceof Text && b instanceof Text) {
    return a instanceof Markup || b instanceof Markup
      ? Markup.of(Text.join([asHtml(a), asHtml(b)]))
      : Text.join([a, b]);
  }
  if (a instanceof List && b instanceof List) return new List([...a.items, ...b.items]);
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items]);
  return numbers(
    "+",
    a,
    b,
    (x, y) => bounded(x + y),
    (x, y) => x + y,
  );
}

function repeated(value: Text | List | Tuple, times: number): Value {
  const count = Math.max(0, times);
  const length = value instanceof Text ? value.text.length : value.items.length;
  spendOnLength(count * length);
  if (value instanceof Text) return Text.join(new Array<Text>(length === 0 ? 0 : count).fill(value));
  const items = Array.from({ length: length === 0 ? 0 : count }, () => value.items).flat();
  return value instanceof List ? new List(items) : new Tuple(items);
}

function multiply(a: Value, b: Value): Value {
  for (const [value, times] of [
    [a, b],
    [b, a],
  ] as const) {
    if ((value instanceof Text || value instanceof List || value instanceof Tuple) && integerOf(times) !== undefined) {
      return like(value, repeated(value, int(times)));
    }
  }
  return numbers(
    "*",
    a,
    b,
    (x, y) => bounded(x * y),
    (x, y) => x * y,
  );
}

function power(a: Value, b: Value): Value {
  return numbers(
    "**",
    a,
    b,
    (x, y) => {
      if (y < 0n) return Number(nonZero(x)) ** Number(y);
      if (x > 1n || x < -1n) bounded(y > 4096n ? MAX_INTEGER + 1n : 0n);
      return bounded(x ** (y > 4096n ? y % 2n : y));
    },
    (x, y) => x ** y,
  );
}

const floorDivided = (x: bigint, y: bigint) => (x - (((x % y) + y) % y)) / y;

/** As Python has it: `1.0 // 0.1` is 9, since 0.1 is a little more than a tenth. */
function floatFloorDivided(x: number, y: number): number {
  const rest = x % y;
  const quotient = (x - rest) / y - (rest !== 0 && rest < 0 !== y < 0 ? 1 : 0);
  return quotient === 0 ? (x / y) * 0 : Math.round(quotient);
}

const OPERATIONS: Readonly<Record<string, (a: Value, b: Value) => Value>> = {
  "+": add,
  "-": (a, b) =>
    numbers(
      "-",
      a,
      b,
      (x, y) => bounded(x - y),
      (x, y) => x - y,
    ),
  "*": multiply,
  "/": (a, b) =>
    numbers(
      "/",
      a,
      b,
      (x, y) => Number(x) / Number(nonZero(y)),
      (x, y) => x / nonZero(y),
    ),
  "//": (a, b) =>
    numbers(
      "//",
      a,
      b,
      (x, y) => floorDivided(x, nonZero(y)),
      (x, y) => floatFloorDivided(x, nonZero(y)),
    ),
  "**": power,
  "%": (a, b) => {
    if (!(a instanceof Text)) return isNumber(a) && isNumber(b) ? modulo(a, b) : unsupported("%", a, b);
    if (a instanceof Markup) throw fault("% with a text that safe or e made is not supported");
    return formatPercent(a, b instanceof Tuple ? b.items : [b], b instanceof Dict ? b : undefined);
  },
};

/** `a sign b`. @throws {TemplateFault} as Python does */
export const operate = (sign: string, a: Value, b: Value): Value =>
  (OPERATIONS[sign] as (a: Value, b: Value) => Value)(a, b);
