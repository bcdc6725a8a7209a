import type { Draw, Sample } from "../../src/autodiff/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, sizeOf, tensor } from "../../src/tensor/tensor.ts";

export type Random = Draw & { uniform(low: number, high: number): number };

/** Random choices for the cases of one operation; always the same ones for a name. */
export function drawFrom(name: string): Random {
  const stream = new RandomStream(11, name);
  let count = 0;
  const integer = (low: number, high: number) => low + stream.integer(count++, high - low + 1);
  const size = () => (integer(0, 2) === 0 ? 1 : integer(2, 4));
  return {
    integer,
    size,
    shape: (rank = integer(1, 3)) => Array.from({ length: rank }, size),
    uniform: (low, high) => low + (high - low) * stream.uniform(count++),
  };
}

export const randomTensor = (
  draw: Random,
  shape: readonly number[],
  { dtype = "float64", low = -2, high = 2 }: { dtype?: "float32" | "float64"; low?: number; high?: number } = {},
): HostTensor =>
  tensor(
    dtype,
    shape,
    Array.from({ length: sizeOf(shape) }, () => draw.uniform(low, high)),
  );

/** The inputs of a case: given where they are integers or bools, drawn otherwise. */
export const sampleInputs = (draw: Random, sample: Sample<unknown>, dtype: "float32" | "float64"): HostTensor[] =>
  sample.inputs.map((input) => {
    if ("int32" in input) return tensor("int32", input.shape, input.int32);
    if ("bool" in input) return tensor("bool", input.shape, input.bool);
    if ("values" in input) return tensor(input.dtype, input.shape, input.values);
    const { shape, low = -2, high = 2 } = input;
    return randomTensor(draw, shape, { dtype, low, high });
  });
