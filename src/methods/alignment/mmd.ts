import { ops, type Tensor } from "../../autodiff/index.ts";

const { add, div, dimSize, exp, matmul, maximum, mean, mul, neg, reshape, stopGradient, sub, sum } = ops;

/** Widths of the kernels, in multiples of the bandwidth. */
const WIDTHS = [1, 2, 4, 8, 16];
/** Ratio of the mean squared distance and the narrowest width. */
const NARROWEST = 4;
const TINY = 1e-30;

/**
 * Squared maximum mean discrepancy of two samples, X and Y `[rows, width]`: 0 for equal ones, larger the more they differ.
 *
 *     K(a, b) = Σ_k exp(-‖a - b‖² / (2^k bandwidth)), k = 0..4
 *     mean(K(X, X) + K(Y, Y) - 2 K(X, Y))
 *
 * `bandwidth` is a quarter of the mean squared distance within the pool of X and Y, and a constant for the gradient.
 * Source: Gretton et al., JMLR 13 (2012), eq. 5, the biased estimate.
 */
export function mmd(X: Tensor, Y: Tensor): Tensor {
  const [XX, YY, XY] = [squaredDistances(X, X), squaredDistances(Y, Y), squaredDistances(X, Y)];
  const pooled = mul(dimSize(X.dim(0), X.dtype), 2);
  const pairs = mul(pooled, sub(pooled, 1));
  const total = stopGradient(add(add(sum(XX), sum(YY)), mul(sum(XY), 2)));
  const bandwidth = maximum(div(div(total, pairs), NARROWEST), TINY);
  const kernel = (distances: Tensor) => {
    const scaled = div(neg(distances), bandwidth);
    return WIDTHS.map((width) => exp(mul(scaled, 1 / width))).reduce((a, b) => add(a, b));
  };
  return sub(add(mean(kernel(XX)), mean(kernel(YY))), mul(mean(kernel(XY)), 2));
}

/** `‖a‖² + ‖b‖² - 2 a b'`: rows against rows, without the `[rows, rows, width]` differences. */
function squaredDistances(A: Tensor, B: Tensor): Tensor {
  const column = sum(mul(A, A), { axes: [1], keepDims: true });
  const row = reshape(sum(mul(B, B), { axes: [1] }), [1, B.dim(0)]);
  return sub(add(column, row), matmul(A, B, { transB: true, alpha: 2 }));
}
