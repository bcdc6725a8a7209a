import { ops, type Tensor } from "../autodiff/index.ts";

/** The sum of tensors of one shape. */
export const total = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => ops.add(a, b));

/** The mean of tensors of one shape. */
export const average = (parts: readonly Tensor[]): Tensor => ops.div(total(parts), parts.length);
