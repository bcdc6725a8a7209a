import { strftime } from "./clock.ts";
import { spend } from "./limits.ts";
import { print } from "./print.ts";
import { Text } from "./text.ts";
import { Dict, Func, fault, int, iterate, List, Namespace, str, text, type Value } from "./values.ts";

/** Longest range that the sandbox of chat templates allows. */
const MAX_RANGE = 100_000;

function range(args: readonly Value[]): List {
  const [first = 0, second, step = 1] = args.map(int);
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw fault("range() arg 3 must not be zero");
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) throw fault(`Range too big. The sandbox blocks ranges larger than ${MAX_RANGE}.`);
  spend(length);
  const items = Array.from({ length }, (_, i) => BigInt(start + i * step));
  return new List(items, `range(${start}, ${stop}${step === 1 ? "" : `, ${step}`})`);
}

function cycler(args: readonly Value[]): Func {
  let at = 0;
  const current = () => args[at % Math.max(1, args.length)] ?? null;
  return new Func(
    "cycler",
    () => null,
    (name) => {
      if (name === "current") return current();
      if (name === "reset") {
        return new Func(name, () => {
          at = 0;
          return null;
        });
      }
      if (name === "next") {
        return new Func(name, () => {
          const value = current();
          at++;
          return value;
        });
      }
      return undefined;
    },
  );
}

function joiner([separator]: readonly Value[]): Func {
  let used = false;
  return new Func("joiner", () => {
    const value = used ? (separator ?? text(", ")) : text("");
    used = true;
    return value;
  });
}

const entries = (args: readonly Value[], kwargs: ReadonlyMap<string, Value>): [Value, Value][] => {
  const [first] = args;
  const given: (readonly [Value, Value])[] =
    first === undefined
      ? []
      : first instanceof Dict
        ? first.pairs()
        : iterate(first).map((pair) => {
            const [key = null, value = null] = iterate(pair);
            return [key, value];
          });
  return [...given, ...[...kwargs].map(([key, value]): [Value, Value] => [text(key), value])].map(([key, value]) => [
    key,
    value,
  ]);
};

/** Functions that a chat template may call. */
export const GLOBALS: readonly Func[] = [
  new Func("range", range),
  new Func("dict", (args, kwargs) => new Dict(entries(args, kwargs))),
  new Func("namespace", (args, kwargs) => {
    const namespace = new Namespace();
    for (const [key, value] of entries(args, kwargs)) namespace.attributes.set(str(key).text, value);
    return namespace;
  }),
  new Func("cycler", cycler),
  new Func("joiner", joiner),
  new Func("strftime_now", ([format = null]) => new Text(strftime(str(format).text))),
  new Func("raise_exception", ([message = null]) => {
    throw fault(print(message).text);
  }),
];
