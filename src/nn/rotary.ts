import { ops, type Tensor } from "../autodiff/index.ts";
import type { DType } from "../tensor/tensor.ts";

/** How places turn the heads of queries and keys. */
export interface Rotation {
  /** Angle a place for each pair `(x[i], x[i + n])` of a head's first 2 n numbers. */
  readonly frequencies: readonly number[];
  /** What cosines and sines are multiplied by. */
  readonly factor: number;
  /** Frequencies of rows of more than `beyond` tokens. */
  readonly long?: { readonly beyond: number; readonly frequencies: readonly number[] };
}

/** Where tokens stand, for those who turn. */
export interface Standing {
  /** int32 `[tokens]`, place of each token in its own row. */
  readonly positions: Tensor;
  /** int32 `[1]` or `[tokens]`, what counts as the length of each token's row: that of the batch's longest, or in decoding its own. */
  readonly length: Tensor;
}

/** Turns the heads of queries or keys, `[tokens, heads * width]`; without a rotation they stay as they are. */
export type Turn = (x: Tensor, rotation: Rotation | undefined, heads: number) => Tensor;

/** Angle a place, `theta^(-2i / width)` for i below width / 2. Source: Su et al., arXiv 2104.09864, section 3.2.2. */
export const rotaryFrequencies = (width: number, theta: number): number[] =>
  Array.from({ length: width / 2 }, (_, i) => theta ** ((-2 * i) / width));

/** Cosine and sine of position times frequency, times the rotation's factor: two `[tokens, pairs]`. */
export function rotaryTables({ positions, length }: Standing, rotation: Rotation, dtype: DType) {
  const { frequencies, factor, long } = rotation;
  const row = (values: readonly number[]) =>
    ops.constantTensor({ dtype: "float64", shape: [1, values.length], data: Float64Array.from(values) }, dtype);
  const isLong = long && ops.less(long.beyond, ops.reshape(length, [length.dim(0), 1]));
  const chosen = isLong ? ops.where(isLong, row(long.frequencies), row(frequencies)) : row(frequencies);
  const angle = ops.mul(ops.reshape(ops.cast(positions, dtype), [positions.dim(0), 1]), chosen);
  const scaled = (x: Tensor) => (factor === 1 ? x : ops.mul(x, factor));
  return { cos: scaled(ops.cos(angle)), sin: scaled(ops.sin(angle)) };
}

/** Turns by where tokens stand; the tables of a rotation are made once. */
export function turnAt(standing: Standing, dtype: DType): Turn {
  const made = new Map<Rotation, ReturnType<typeof rotaryTables>>();
  return (x, rotation, heads) => {
    if (rotation === undefined) return x;
    const table = made.get(rotation) ?? rotaryTables(standing, rotation, dtype);
    made.set(rotation, table);
    return ops.rotary(x, table.cos, table.sin, heads);
  };
}
