import { ops, type Tensor } from "../autodiff/index.ts";

/**
 * `(x - mean) / sqrt(variance + epsilon) * weight + bias` over the last axis: x `[..., width]`, weight and bias `[width]`.
 * What is left of x without its mean has the variance as its mean square, so it is that one's root mean square norm.
 * Source: Ba et al., arXiv 1607.06450.
 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const centred = ops.sub(x, ops.mean(x, { axes: [-1], keepDims: true }));
  return ops.add(ops.rmsNorm(centred, weight, epsilon), bias);
}
