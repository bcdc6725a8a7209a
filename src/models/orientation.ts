/** Some families' files in Hugging Face's layout hold weights of linear layers as `[in, out]`; everywhere else they are `[out, in]`. */
import { type DType, type HostTensor, zeros } from "../tensor/tensor.ts";
import { architectureOf } from "./registry.ts";

/** Whether a weight stands transposed in the files of a model with this config.json. */
export const standsTransposed = (config: unknown, weight: string): boolean =>
  architectureOf(config)?.transposed?.some((module) => weight.endsWith(`.${module}.weight`)) ?? false;

/** `[rows, columns]` to `[columns, rows]`. */
export function transposed<D extends DType>({ dtype, shape, data }: HostTensor<D>): HostTensor<D> {
  const [rows = 0, columns = 0] = shape;
  const to = zeros(dtype, [columns, rows]);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) to.data[j * rows + i] = data[i * columns + j] as never;
  return to;
}
