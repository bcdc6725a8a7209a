import { ops, type Shape, type Tensor, valueAndGrad } from "../../../autodiff/index.ts";
import type { LabelledTokens } from "../../../models/index.ts";
import { clipByNorm, type Optimizer } from "../../../optim/index.ts";

const { div, gather, mul, sum } = ops;

export const ACTIVATIONS = ["softmax", "sigmoid"] as const;
export type Activation = (typeof ACTIVATIONS)[number];

/** Weights of all rows from their logits ω `[N]`: `p = N softmax(ω)`, whose mean is 1, or `p = 2 σ(ω)`. */
export function rowWeights(omega: Tensor, activation: Activation): Tensor {
  if (activation === "sigmoid") return mul(ops.sigmoid(omega), 2);
  const count = omega.dim(0);
  return mul(ops.reshape(ops.softmax(ops.reshape(omega, [1, count])), [count]), ops.dimSize(count, omega.dtype));
}

/** `1 / labelled tokens of its row` for each token, 0 for filler: with it a sum over tokens is a sum of row means. */
export const rowShares = ({ shares, row, rowLengths }: Omit<LabelledTokens, "logProbability" | "place">): Tensor =>
  // Filler belongs to the first row, which may have learned nothing.
  div(ops.sign(shares), ops.cast(ops.maximum(ops.gather(rowLengths, row), 1), shares.dtype));

/** Mean token loss of each row of a batch: `[rows]`. */
export const rowLosses = (tokens: LabelledTokens, rows: Shape[number]): Tensor =>
  ops.scatterAdd(mul(ops.neg(tokens.logProbability), rowShares(tokens)), tokens.row, rows);

/** What an update of the selector reads. */
export interface SelectorStep {
  /** ω `[N]` */
  readonly omega: Tensor;
  /** int32 `[B]`: which rows the batch holds. */
  readonly index: Tensor;
  /** `[B]`: their mean token losses, constants. */
  readonly losses: Tensor;
  readonly activation: Activation;
  /** The optimiser's own. */
  readonly state: Readonly<Record<string, Tensor>>;
  readonly learningRate: Tensor;
  /** Largest norm of ω's gradient. */
  readonly clip: number;
}

/**
 * One step of ω down the loss `mean over the batch of p_i l_i`. With softmax its gradient is
 * `p_i / B (l_i - Σ_j p_j l_j / N)`, l = 0 outside the batch: rows whose loss stays high lose weight.
 */
export function selectorStep(given: SelectorStep, { update }: Optimizer) {
  const { omega, index, losses, activation, state, learningRate, clip } = given;
  const { value, grad } = valueAndGrad((w) =>
    ops.mean(mul(gather(rowWeights(w.omega as Tensor, activation), index), losses)),
  )({ omega });
  const gradient = grad.omega as Tensor;
  const clipped = clipByNorm(gradient, ops.sqrt(sum(mul(gradient, gradient))), clip);
  return { value, gradient, ...update({ weights: omega, gradient: clipped, state, learningRate }) };
}

/** Rows of ω that are compared with all at once: bounds the memory. */
const BLOCK = 512;

/** 1 for the `count` rows of the highest ω, 0 for the others; of equal ones the earlier: `[N]`. */
export function keepBest(omega: Tensor, count: number): Tensor {
  const rows = omega.dim(0) as number;
  const all = ops.reshape(omega, [1, rows]);
  const places = ops.reshape(ops.range(rows), [1, rows]);
  const one = ops.constant(1, omega.dtype);
  const ranks = Array.from({ length: Math.ceil(rows / BLOCK) }, (_, block) => {
    const [start, end] = [block * BLOCK, Math.min(rows, (block + 1) * BLOCK)];
    const part = (x: Tensor) => ops.reshape(ops.slice(x, 1, start, end), [end - start, 1]);
    const above = ops.where(ops.less(part(all), all), one, 0);
    const earlier = ops.where(ops.less(places, part(places)), one, 0);
    const tied = mul(ops.where(ops.equal(all, part(all)), one, 0), earlier);
    return sum(ops.add(above, tied), { axes: [1] });
  });
  return ops.where(ops.less(ops.concat(ranks, 0), count), one, 0);
}
