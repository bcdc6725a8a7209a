import { ops, type Tensor, type Tree, tree } from "../autodiff/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";

/** Names and shapes of tensors that lie one behind the other in a vector. */
export interface FlatLayout {
  readonly entries: readonly { readonly name: string; readonly shape: readonly number[]; readonly offset: number }[];
  readonly size: number;
}

/** Lays tensors out in the order of their names. */
export function flatLayout(shapes: ReadonlyMap<string, readonly number[]>): FlatLayout {
  let size = 0;
  const entries = [...shapes.keys()].sort().map((name) => {
    const shape = shapes.get(name) as readonly number[];
    const offset = size;
    size += sizeOf(shape);
    return { name, shape, offset };
  });
  return { entries, size };
}

/** The named tensors inside a vector. */
export const unflatten = (vector: Tensor, { entries }: FlatLayout): Tree =>
  Object.fromEntries(
    entries.map(({ name, shape, offset }) => [
      name,
      ops.reshape(ops.slice(vector, 0, offset, offset + sizeOf(shape)), shape),
    ]),
  );

/** Named tensors as one vector. */
export const flatten = (tree: Tree, { entries }: FlatLayout): Tensor =>
  ops.concat(
    entries.map(({ name, shape }) => ops.reshape(tree[name] as Tensor, [sizeOf(shape)])),
    0,
  );

/** Updates are proportional to the learning rate, so a factor of it is one of them. */
export function atRates(from: Tensor, to: Tensor, rates: Tree, layout: FlatLayout): Tensor {
  const start = unflatten(from, layout);
  const moved = tree.mapTree(unflatten(to, layout), (x, name) => {
    const rate = rates[name];
    const before = start[name] as Tensor;
    return rate === undefined ? x : ops.add(before, ops.mul(ops.sub(x, before), rate));
  });
  return flatten(moved, layout);
}

/** `flatten` on the host. */
export function flattenHost(tensors: ReadonlyMap<string, HostTensor>, { entries, size }: FlatLayout): HostTensor {
  const vector = new Float32Array(size);
  for (const { name, offset } of entries) vector.set((tensors.get(name) as HostTensor<"float32">).data, offset);
  return tensor("float32", [size], vector);
}

/** `unflatten` on the host; each tensor is a copy of its own. */
export const unflattenHost = (vector: HostTensor, { entries }: FlatLayout): Map<string, HostTensor<"float32">> =>
  new Map(
    entries.map(({ name, shape, offset }) => {
      const data = (vector as HostTensor<"float32">).data.slice(offset, offset + sizeOf(shape));
      return [name, tensor("float32", shape, data)];
    }),
  );
