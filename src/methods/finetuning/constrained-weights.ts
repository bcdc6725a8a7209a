import { ops, type Tensor } from "../../autodiff/index.ts";

/** How strongly each answer token is held to what the aligned model said. */
export interface TokenBetas {
  readonly beta: number;
  /** Tokens from the answer's beginning that are held more. */
  readonly biasLength: number;
  /** beta of these, times. */
  readonly biasFactor: number;
  /** beta of the very first of them, times. */
  readonly firstTokenBiasFactor: number;
}

/** Smallest weight of a token: the loss never lets one go. */
const LEAST = 1e-3;

/** beta by place among the answer's tokens, from 0: int32 `[tokens]` to `[tokens]`. */
export function constrainedBetas(place: Tensor, options: TokenBetas, dtype: Tensor["dtype"] = "float32"): Tensor {
  const { beta, biasLength, biasFactor, firstTokenBiasFactor } = options;
  const constant = (factor: number) => ops.constant(beta * factor, dtype);
  const early = ops.where(ops.less(place, 1), constant(firstTokenBiasFactor), constant(biasFactor));
  return ops.where(ops.less(place, biasLength), early, constant(1));
}

/**
 * Weights of answer tokens that brake where the model has moved above the aligned one:
 *
 *     w = max(1e-3, 2 σ(β (log π_ref - log π)))       a constant for the gradient
 *
 * The gradient of `-w log π` is that of `-(2 / β) log σ(β log(π / π_ref))`; w is 1 where the models agree, and for β = 0 always.
 * Log-probabilities and betas `[tokens]`.
 * Source: Qi et al., arXiv 2406.05946, equation 3; the lower bound is that of the authors' code.
 */
export const constrainedWeights = (logProbability: Tensor, reference: Tensor, betas: Tensor): Tensor =>
  ops.stopGradient(ops.maximum(ops.mul(2, ops.sigmoid(ops.mul(betas, ops.sub(reference, logProbability)))), LEAST));
