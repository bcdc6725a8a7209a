import { ops, type Tensor } from "../autodiff/index.ts";

/**
 * `cap tanh(x / cap)`, which is never beyond `cap`, and its slope `1 - tanh(x / cap)^2`; x itself and 1 without a cap.
 * Source: Gemma 2, arXiv 2408.00118, section 2.
 */
export function softCap(x: Tensor, cap: number | undefined): { readonly value: Tensor; readonly slope: Tensor | 1 } {
  if (cap === undefined) return { value: x, slope: 1 };
  const t = ops.tanh(ops.mul(x, 1 / cap));
  return { value: ops.mul(t, cap), slope: ops.sub(1, ops.mul(t, t)) };
}
