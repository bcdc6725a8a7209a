import { BoosterError } from "../errors.ts";

/** Element types of tensors: what programs compute with, then those in which they are only given weights. */
export type DType = "float32" | "float64" | "int32" | "int64" | "bool" | "float16" | "uint16" | "int8" | "uint8";

interface DataOf {
  float32: Float32Array;
  float64: Float64Array;
  int32: Int32Array;
  int64: BigInt64Array;
  bool: Uint8Array;
  /** Bit patterns. */
  float16: Uint16Array;
  uint16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
}

/** A tensor in host memory, row-major. */
export interface HostTensor<D extends DType = DType> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: DataOf[D];
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  float16: Uint16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
} as const;

/** Number of elements of a shape; 1 for a scalar. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

/** An all-zero tensor. */
export function zeros<D extends DType>(dtype: D, shape: readonly number[]): HostTensor<D> {
  return { dtype, shape, data: new ARRAYS[dtype](sizeOf(shape)) as DataOf[D] };
}

/**
 * Wraps numbers as a tensor of the given type.
 *
 * @throws {BoosterError} `SHAPE_MISMATCH` when the shape needs another number of elements.
 * @example
 * tensor("int32", [2, 2], [1, 2, 3, 4]);
 */
export function tensor<D extends DType>(
  dtype: D,
  shape: readonly number[],
  values: ArrayLike<number> | DataOf[D],
): HostTensor<D> {
  if (values.length !== sizeOf(shape)) {
    throw new BoosterError("SHAPE_MISMATCH", "values do not fill the shape", {
      expected: `${sizeOf(shape)} elements for [${shape.join(", ")}]`,
      found: `${values.length}`,
    });
  }
  if (values instanceof ARRAYS[dtype]) return { dtype, shape, data: values as DataOf[D] };
  if (dtype === "int64") {
    const data = BigInt64Array.from(values as ArrayLike<number>, (v) => BigInt(v)) as DataOf[D];
    return { dtype, shape, data };
  }
  const data = new ARRAYS[dtype](values.length) as unknown as Float64Array;
  data.set(values as ArrayLike<number>);
  return { dtype, shape, data: data as unknown as DataOf[D] };
}

/** The same tensors with other numbers in them. */
export const mapNumbers = (
  tensors: ReadonlyMap<string, HostTensor<"float32">>,
  numbersOf: (x: HostTensor<"float32">, name: string) => Float32Array,
): Map<string, HostTensor<"float32">> =>
  new Map([...tensors].map(([name, x]) => [name, { ...x, data: numbersOf(x, name) }]));
