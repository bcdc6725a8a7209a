import { formatBraces } from "./format.ts";
import { like } from "./markup.ts";
import { bind, type Native, native } from "./signature.ts";
import { STRING_METHODS } from "./string-methods.ts";
import { Markup, Text } from "./text.ts";
import {
  Dict,
  defined,
  equal,
  Func,
  fault,
  int,
  integerOf,
  List,
  Namespace,
  orElse,
  spendOn,
  str,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

type Sequence = List | Tuple;
const same = <T extends Sequence>(sequence: T, items: readonly Value[]): Sequence =>
  sequence instanceof List ? new List(items) : new Tuple(items);

const SEQUENCE_METHODS: Readonly<Record<string, Native<[Sequence]>>> = {
  count: native("value", (self, value) => BigInt(self.items.filter((item) => equal(item, value ?? null)).length)),
  index: native("value", (self, value) => {
    const place = self.items.findIndex((item) => equal(item, value ?? null));
    if (place < 0) throw fault("the value is not in the list");
    return BigInt(place);
  }),
  copy: native("", (self) => same(self, self.items)),
};

const DICT_METHODS: Readonly<Record<string, Native<[Dict]>>> = {
  get: native("key default", (self, key, otherwise) => orElse(self.get(key ?? null), orElse(otherwise, null))),
  items: native(
    "",
    (self) =>
      new List(
        self.pairs().map((pair) => new Tuple(pair)),
        "dict_items",
      ),
  ),
  keys: native(
    "",
    (self) =>
      new List(
        self.pairs().map(([key]) => key),
        "dict_keys",
      ),
  ),
  values: native(
    "",
    (self) =>
      new List(
        self.pairs().map(([, value]) => value),
        "dict_values",
      ),
  ),
  copy: native("", (self) => new Dict(self.pairs())),
};

/** The sandbox that chat templates run in forbids them. */
const CHANGING = [
  "append",
  "clear",
  "extend",
  "insert",
  "pop",
  "popitem",
  "remove",
  "reverse",
  "setdefault",
  "sort",
  "update",
];

function methodIn<Self>(table: Readonly<Record<string, Native<[Self]>>>, self: Self, name: string): Func | undefined {
  const method = Object.hasOwn(table, name) ? table[name] : undefined;
  if (method === undefined) return undefined;
  return new Func(name, (args, kwargs) => method.run(self, ...bind(name, method.parameters, args, kwargs)));
}

function formatting(self: Text, name: string): Func | undefined {
  const access = { attribute: attributeOf, item: itemOf };
  if (name === "format") return new Func(name, (args, kwargs) => formatBraces(self, args, kwargs, access));
  if (name !== "format_map") return undefined;
  return new Func(name, ([mapping = null]) => {
    if (!(mapping instanceof Dict)) throw fault(`format_map() needs a mapping, not '${typeName(mapping)}'`);
    return formatBraces(self, [], new Map(mapping.pairs().map(([key, value]) => [str(key).text, value])), access);
  });
}

/** Methods that escape what they put into a text that is HTML. */
const ESCAPING = ["format", "format_map", "join", "replace"];

function ofText(self: Text, name: string): Func | undefined {
  const method = methodIn(STRING_METHODS, self, name) ?? formatting(self, name);
  if (method === undefined || !(self instanceof Markup)) return method;
  return new Func(name, (args, kwargs) => {
    if (ESCAPING.includes(name)) throw fault(`${name}() of a text that safe or e made is not supported`);
    return like(self, method.call(args, kwargs));
  });
}

function ownAttribute(value: Value, name: string): Value | undefined {
  spendOn(value);
  if (value instanceof Text) return ofText(value, name);
  if (value instanceof Dict) return methodIn(DICT_METHODS, value, name);
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)];
  if (value instanceof List || value instanceof Tuple) return methodIn(SEQUENCE_METHODS, value, name);
  if (value instanceof Namespace) return value.attributes.get(name);
  return value instanceof Func ? value.attribute(name) : undefined;
}

const missing = (value: Value, name: string): Undefined => {
  const changes = (value instanceof List || value instanceof Dict) && CHANGING.includes(name);
  if (changes) return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe`);
  return new Undefined(`'${typeName(value)} object' has no attribute '${name}'`);
};

function ownItem(value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) return key instanceof List || key instanceof Dict ? undefined : value.get(key);
  const index = integerOf(key);
  if (index === undefined) return undefined;
  const length =
    value instanceof Text ? value.length : value instanceof List || value instanceof Tuple ? value.items.length : 0;
  const place = Number(index) + (index < 0n ? length : 0);
  if (place < 0 || place >= length) return undefined;
  return value instanceof Text ? like(value, value.range(place, place + 1)) : (value as Sequence).items[place];
}

/** `value|attr(name)`: the attribute, never an item. @throws {TemplateFault} on what is undefined */
export const attributeAlone = (value: Value, name: string): Value =>
  orElse(ownAttribute(defined(value), name), missing(value, name));

/** `value.name`: the attribute, else the item. @throws {TemplateFault} on what is undefined */
export function attributeOf(value: Value, name: string): Value {
  const own = ownAttribute(defined(value), name);
  if (own !== undefined) return own;
  return orElse(
    value instanceof Dict && !CHANGING.includes(name) ? value.get(new Text(name)) : undefined,
    missing(value, name),
  );
}

/** `value[key]`: the item, else the attribute. @throws {TemplateFault} on what is undefined */
export function itemOf(value: Value, key: Value): Value {
  const item = ownItem(defined(value), key);
  if (item !== undefined) return item;
  if (!(key instanceof Text)) return new Undefined(`'${typeName(value)} object' has no such element`);
  return orElse(ownAttribute(value, key.text), missing(value, key.text));
}

/** `value[start:stop:step]`. @throws {TemplateFault} where Python has no such slice */
export function sliceOf(value: Value, bounds: readonly (Value | undefined)[]): Value {
  if (!(value instanceof Text || value instanceof List || value instanceof Tuple)) {
    if (value instanceof Undefined) throw fault(value.problem);
    return new Undefined(`'${typeName(value)}' object is not subscriptable`);
  }
  const length = value instanceof Text ? value.length : value.items.length;
  const [start, stop, stepValue] = bounds.map((bound) => (bound == null ? undefined : int(bound)));
  const step = stepValue ?? 1;
  if (step === 0) throw fault("slice step cannot be zero");
  const [low, high] = step > 0 ? [0, length] : [-1, length - 1];
  const clip = (bound: number | undefined, otherwise: number) =>
    bound === undefined ? otherwise : Math.max(low, Math.min(high, bound < 0 ? bound + length : bound));
  const [from, to] = step > 0 ? [clip(start, low), clip(stop, high)] : [clip(start, high), clip(stop, low)];
  if (value instanceof Text && step === 1) return like(value, value.range(from, Math.max(from, to)));
  const places: number[] = [];
  for (let place = from; step > 0 ? place < to : place > to; place += step) places.push(place);
  if (value instanceof Text) return like(value, Text.join(places.map((place) => value.range(place, place + 1))));
  return same(
    value,
    places.map((place) => value.items[place] as Value),
  );
}
