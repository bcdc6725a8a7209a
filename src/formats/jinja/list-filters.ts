import { attributeAlone, itemOf } from "./access.ts";
import { add } from "./arithmetic.ts";
import { type Filter, filter } from "./filter.ts";
import { spendOnLength } from "./limits.ts";
import { print } from "./print.ts";
import { join, lower } from "./string-methods.ts";
import { Text } from "./text.ts";
import {
  compare,
  Dict,
  defined,
  equal,
  fault,
  hashOf,
  int,
  iterate,
  List,
  lengthOf,
  orElse,
  str,
  Tuple,
  text,
  truthy,
  Undefined,
  type Value,
} from "./values.ts";

/** Reads `a.b.0` of a thing. */
function getter(path: Value | undefined, otherwise?: Value): (value: Value) => Value {
  if (path == null) return (value) => value;
  const steps =
    path instanceof Text
      ? path.text.split(".").map((step) => (/^\d+$/.test(step) ? BigInt(step) : text(step)))
      : [path];
  return (start) =>
    steps.reduce((value: Value, step) => {
      const found = itemOf(value, step);
      return found instanceof Undefined && otherwise != null ? otherwise : found;
    }, start);
}

const folded = (value: Value) => (value instanceof Text ? lower(value) : value);
const keyOf = (attribute: Value | undefined, caseSensitive: Value | undefined, otherwise?: Value) => {
  const get = getter(attribute, otherwise);
  return (value: Value) => (truthy(caseSensitive ?? false) ? get(value) : folded(get(value)));
};

function sorted(values: readonly Value[], key: (value: Value) => Value, reverse: Value | undefined): Value[] {
  const direction = truthy(reverse ?? false) ? -1 : 1;
  const keyed = values.map((value) => ({ value, key: key(value) }));
  return keyed.sort((a, b) => direction * compare(a.key, b.key)).map(({ value }) => value);
}

function extreme(direction: 1 | -1): Filter {
  return filter("case_sensitive attribute", (value, caseSensitive, attribute) => {
    const key = keyOf(attribute, caseSensitive);
    const [first, ...others] = iterate(value);
    if (first === undefined) return new Undefined("No aggregated item, sequence was empty.");
    return others.reduce((best, item) => (direction * compare(key(item), key(best)) < 0 ? item : best), first);
  });
}

function grouped(
  value: Value,
  attribute: Value | undefined,
  otherwise: Value | undefined,
  caseSensitive: Value | undefined,
): List {
  const key = keyOf(attribute, caseSensitive, otherwise);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key(item))) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  const get = getter(attribute, otherwise);
  return new List(groups.map(({ items }) => new Tuple([get(items[0] as Value), new List(items)], ["grouper", "list"])));
}

function unique(value: Value, caseSensitive: Value | undefined, attribute: Value | undefined): List {
  const key = keyOf(attribute, caseSensitive);
  const seen = new Set<string>();
  const kept = iterate(value).filter((item) => {
    const hash = hashOf(key(item));
    return seen.size !== seen.add(hash).size;
  });
  return new List(kept);
}

/** `select`, `reject` and, where `byAttribute`, `selectattr`, `rejectattr`. */
function selecting(wanted: boolean, byAttribute: boolean): Filter {
  return (value, args, kwargs, library) => {
    if (!truthy(value)) return new List([]);
    const get = byAttribute ? getter(args[0]) : (item: Value) => item;
    const [name, ...rest] = byAttribute ? args.slice(1) : args;
    const holds = (item: Value) =>
      name === undefined ? truthy(item) : library.test(str(name).text, item, rest, kwargs);
    return new List(iterate(value).filter((item) => holds(get(item)) === wanted));
  };
}

const mapping: Filter = (value, args, kwargs, library) => {
  if (!truthy(value)) return new List([]);
  const [name, ...rest] = args;
  if (name !== undefined) {
    return new List(iterate(value).map((item) => library.filter(str(name).text, item, rest, kwargs)));
  }
  return new List(iterate(value).map(getter(kwargs.get("attribute"), kwargs.get("default"))));
};

function inGroups(value: Value, size: number, fill: Value | undefined): List {
  const items = iterate(value);
  if (fill != null) spendOnLength(size);
  const groups = Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
  return new List(
    groups.map(
      (group) => new List(fill == null ? group : [...group, ...new Array<Value>(size - group.length).fill(fill)]),
    ),
  );
}

function inSlices(value: Value, count: number, fill: Value | undefined): List {
  const items = iterate(value);
  const [size, extra] = [Math.floor(items.length / count), items.length % count];
  const start = (i: number) => i * size + Math.min(i, extra);
  const slices = Array.from({ length: count }, (_, i) => {
    const slice = items.slice(start(i), start(i + 1));
    return new List(fill != null && i >= extra ? [...slice, fill] : slice);
  });
  return new List(slices);
}

const length = filter("", (value) => BigInt(lengthOf(value)));
const ends = (pick: (items: readonly Value[]) => Value | undefined) =>
  filter("", (value) => orElse(pick(iterate(value)), new Undefined("the sequence was empty")));
/** Filters of Jinja for lists and mappings. */
export const LIST_FILTERS: Readonly<Record<string, Filter>> = {
  attr: filter("name", (value, name) => attributeAlone(value, str(name ?? null).text)),
  batch: filter("linecount fill_with", (value, size, fill) => inGroups(value, Math.max(1, int(size ?? null)), fill)),
  slice: filter("slices fill_with", (value, count, fill) =>
    inSlices(value, Math.min(1e5, Math.max(1, int(count ?? null))), fill),
  ),
  count: length,
  length,
  dictsort: filter("case_sensitive by reverse", (value, caseSensitive, by, reverse) => {
    if (!(value instanceof Dict)) throw fault("dictsort needs a mapping");
    const place = by !== undefined && str(by).text === "value" ? 1n : 0n;
    const pairs = value.pairs().map((pair) => new Tuple(pair));
    return new List(sorted(pairs, keyOf(place, caseSensitive), reverse));
  }),
  first: ends((items) => items[0]),
  last: ends((items) => items.at(-1)),
  groupby: filter("attribute default case_sensitive", grouped),
  items: filter("", (value) => {
    if (value instanceof Undefined) return new List([]);
    if (!(value instanceof Dict)) throw fault("Can only get item pairs from a mapping.");
    return new List(value.pairs().map((pair) => new Tuple(pair)));
  }),
  join: filter("d attribute", (value, separator, attribute) =>
    join(
      separator === undefined ? text("") : print(separator),
      iterate(value).map((item) => print(getter(attribute)(item))),
    ),
  ),
  list: filter("", (value) => new List(iterate(value))),
  map: mapping,
  max: extreme(-1),
  min: extreme(1),
  select: selecting(true, false),
  reject: selecting(false, false),
  selectattr: selecting(true, true),
  rejectattr: selecting(false, true),
  reverse: filter("", (value) => {
    const items = [...iterate(defined(value))].reverse();
    return value instanceof Text ? Text.join(items as Text[]) : new List(items);
  }),
  sort: filter("reverse case_sensitive attribute", (value, reverse, caseSensitive, attribute) => {
    const paths = attribute instanceof Text ? attribute.text.split(",").map(text) : [attribute];
    const keys = paths.map((path) => keyOf(path, caseSensitive));
    return new List(sorted(iterate(value), (item) => new Tuple(keys.map((key) => key(item))), reverse));
  }),
  sum: filter("attribute start", (value, attribute, start) =>
    iterate(value)
      .map(getter(attribute))
      .reduce(add, start ?? 0n),
  ),
  unique: filter("case_sensitive attribute", unique),
};
