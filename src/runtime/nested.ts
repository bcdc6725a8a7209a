import type { TensorType } from "../autodiff/index.ts";
import type { DType } from "../tensor/tensor.ts";
import type { DeviceTensor } from "./ort.ts";

/** Something of the form of a tensor: a type, a symbol, numbers in host memory or on the device. */
type Leaf = { readonly dtype: DType } | { readonly dims: readonly number[] };

/** Named tensors, and named or numbered groups of them: what a program is given and gives back. Maps are groups too. */
export type Nested = object;

/** A tree of the same form with another kind of leaf. */
export type Mapped<S, T> = S extends Leaf
  ? T
  : S extends ReadonlyMap<string, unknown>
    ? Readonly<Record<string, T>>
    : { readonly [K in keyof S]: Mapped<S[K], T> };

const isLeaf = (x: object): x is Leaf => "dtype" in x || "dims" in x;
const entriesOf = (x: object): readonly [string, object | undefined][] => [
  ...(x instanceof Map ? x : Object.entries(x)),
];

/** Every leaf with its path: names joined by a blank, so that `{ copy: { anchor } }` holds `copy anchor`. */
export function leaves<T extends Leaf>(nested: Nested): [string, T][] {
  return entriesOf(nested).flatMap(([name, x]): [string, T][] => {
    if (x === undefined) return [];
    if (isLeaf(x)) return [[name, x as T]];
    return leaves<T>(x).map(([rest, leaf]) => [`${name} ${rest}`, leaf]);
  });
}

/** The same tree with each leaf replaced; `fn` is also told its path. */
export function mapNested<L extends Leaf, S extends Nested, T>(
  nested: S,
  fn: (leaf: L, path: string) => T,
): Mapped<S, T> {
  const walk = (x: object, path: string): unknown => {
    if (isLeaf(x)) return fn(x as L, path.slice(0, -1));
    const entries = entriesOf(x).flatMap(([name, child]) =>
      child === undefined ? [] : [[name, walk(child, `${path}${name} `)] as const],
    );
    return Array.isArray(x) ? entries.map(([, child]) => child) : Object.fromEntries(entries);
  };
  return walk(nested, "") as Mapped<S, T>;
}

/** The types of tensors, wherever they are. */
export const typesOf = <S extends Nested>(tensors: S): Mapped<S, TensorType> =>
  mapNested(tensors, (x: TensorType | DeviceTensor) =>
    "dims" in x ? { dtype: x.type as DType, shape: x.dims } : { dtype: x.dtype, shape: x.shape },
  );
