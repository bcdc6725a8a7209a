import { type HostTensor, tensor, zeros } from "./tensor.ts";

/** Numbers in rows, `[rows, columns]`. */
export type Matrix = Pick<HostTensor<"float32" | "float64">, "shape" | "data">;

/** `X Y` of two matrices in float64: `[rows, inner]` and `[inner, columns]`. */
export function multiply(x: Matrix, y: Matrix): HostTensor<"float64"> {
  const [rows = 0, inner = 0] = x.shape;
  const [, columns = 0] = y.shape;
  const product = zeros("float64", [rows, columns]);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = x.data[i * inner + k] as number;
      if (factor === 0) continue;
      for (let j = 0; j < columns; j++) product.data[i * columns + j]! += factor * (y.data[k * columns + j] as number);
    }
  }
  return product;
}

/** `X'` in float64. */
export function transposed({ shape: [rows = 0, columns = 0], data }: Matrix): HostTensor<"float64"> {
  const turned = zeros("float64", [columns, rows]);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) turned.data[j * rows + i] = data[i * columns + j]!;
  return turned;
}

/** Frobenius norm of all matrices together. */
export const normOf = (matrices: Iterable<{ readonly data: ArrayLike<number> }>): number => {
  let sum = 0;
  for (const { data } of matrices) for (let i = 0; i < data.length; i++) sum += (data[i] as number) ** 2;
  return Math.sqrt(sum);
};

/** Host numbers as a float32 tensor of the same shape. */
export const asFloat32 = ({ shape, data }: Matrix): HostTensor<"float32"> =>
  tensor("float32", shape, Float32Array.from(data));
