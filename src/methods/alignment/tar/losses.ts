import { ops, type Tensor } from "../../../autodiff/index.ts";
import type { LabelledTokens, PaddedBatch } from "../../../models/index.ts";

const { add, div, exp, log, maximum, mul, neg, sub, sum } = ops;

/** Below this log-probability a token counts as forgotten, as in the authors' code. */
const FORGOTTEN = -15;
/** Keeps the logarithm of 0 finite. */
const TINY = 1.2e-38;

/** The positions of a batch that hold tokens, each with the same share: `[batch * time]`, sum 1. */
export function sharesOf({ mask }: PaddedBatch, dtype: Tensor["dtype"]): Tensor {
  const held = ops.cast(ops.reshape(mask, [-1]), dtype);
  return div(held, sum(held));
}

/**
 * `Σ shares * Σ_v p log p`, p the softmax of a row: minus the mean entropy, in nats. Least where every next token is as likely
 * as any other. logits `[rows, vocabulary]`, shares `[rows]`.
 */
export function negativeEntropy(logits: Tensor, shares: Tensor): Tensor {
  const shifted = sub(logits, ops.stopGradient(ops.max(logits, { axes: [1], keepDims: true })));
  const logP = sub(shifted, log(sum(exp(shifted), { axes: [1], keepDims: true })));
  return sum(mul(shares, sum(mul(exp(logP), logP), { axes: [1] })));
}

/** `mean over labelled tokens of -log(1 - p)`; a token with log p < -15 adds nothing but counts. */
export function unlikelihood({ logProbability, shares }: Pick<LabelledTokens, "logProbability" | "shares">): Tensor {
  const loss = neg(log(maximum(sub(1, exp(logProbability)), TINY)));
  return sum(mul(shares, ops.where(ops.less(logProbability, FORGOTTEN), 0, loss)));
}

export const PREFERENCES = ["sigmoid", "hinge", "ipo", "kto_pair"] as const;

/** Log-probabilities of whole answers under the trained model and the reference, all `[pairs]`. */
export interface Pairs {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
  readonly referenceChosen: Tensor;
  readonly referenceRejected: Tensor;
}

/** `log(1 + e^x)`, for large x too. */
const softplus = (x: Tensor): Tensor => add(maximum(x, 0), log(add(1, exp(neg(ops.abs(x))))));

/**
 * Losses of preferring the chosen answer, with `c`, `r` the gains over the reference of the chosen and the rejected one:
 *
 *     sigmoid    -log σ(β (c - r))
 *     hinge      max(0, 1 - β (c - r))
 *     ipo        (c - r - 1 / (2 β))²
 *     kto_pair   1 - σ(β (c - max(0, mean r))),  then  1 - σ(β (max(0, mean c) - r))
 *
 * `[pairs]`, for `kto_pair` `[2 * pairs]`.
 * Source: Rafailov et al., arXiv 2305.18290, and its relatives, as in the authors' code.
 */
export function preferenceLosses(pairs: Pairs, kind: (typeof PREFERENCES)[number], beta: number): Tensor {
  const c = sub(pairs.chosen, pairs.referenceChosen);
  const r = sub(pairs.rejected, pairs.referenceRejected);
  const margin = sub(c, r);
  switch (kind) {
    case "sigmoid":
      return softplus(mul(margin, -beta));
    case "hinge":
      return maximum(sub(1, mul(margin, beta)), 0);
    case "ipo": {
      const off = sub(margin, 1 / (2 * beta));
      return mul(off, off);
    }
    case "kto_pair": {
      const lacking = (x: Tensor) => ops.reshape(sub(1, ops.sigmoid(mul(x, beta))), [1, x.dim(0)]);
      const drift = (x: Tensor) => maximum(ops.mean(x), 0);
      return ops.reshape(ops.concat([lacking(sub(c, drift(r))), lacking(sub(drift(c), r))], 0), [-1]);
    }
  }
}
