import { ops, product, type Tensor } from "../../../autodiff/index.ts";
import { causalMask } from "../../../nn/index.ts";

const { add, mul, reshape, softmax, sqrt, sub, sum, transpose } = ops;

export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
}

/** L2 norm of each column: `[rows, columns]` to `[columns]`. */
const columnNorms = (x: Tensor): Tensor => sqrt(sum(mul(x, x), { axes: [0] }));

/**
 * L2 change of the feed-forward output when neuron k is zeroed: `‖h[:, k]‖ ‖W_down[:, k]‖`.
 *
 * h `[tokens, inner]` is what goes into the down projection, W_down `[hidden, inner]`; the result `[inner]`. It belongs to row k
 * of W_up and to column k of W_down.
 */
export const feedForwardScores = (h: Tensor, down: Tensor): Tensor => mul(columnNorms(h), columnNorms(down));

/**
 * The same for row k of W_v, attention's weights left aside: `‖V[:, k]‖ ‖sum of the columns of W_o that read it‖`.
 *
 * V `[tokens, kvHeads * width]`, W_o `[hidden, heads * width]`; the result `[kvHeads * width]`.
 */
export function valueScores(v: Tensor, output: Tensor, { heads, kvHeads }: Heads): Tensor {
  const width = (output.dim(1) as number) / heads;
  const grouped = reshape(output, [output.dim(0), kvHeads, heads / kvHeads, width]);
  const joint = reshape(sum(grouped, { axes: [2] }), [output.dim(0), kvHeads * width]);
  return mul(columnNorms(v), columnNorms(joint));
}

/**
 * Squared change of a head's attention map when one of its dimensions is taken out, for each head and dimension:
 *
 *     ‖softmax(s Q K' - removed q_k k_k' + mask) - softmax(s Q K' + mask)‖²,  s = 1 / sqrt(width)
 *
 * With `removed` = s that is what zeroing column k of Q, or of K, does. Q `[tokens, heads * width]`, K `[tokens, kvHeads * width]`,
 * causal mask; the result `[kvHeads, heads / kvHeads, width]`, query heads in order. Holds `heads * width * tokens²` numbers.
 */
export function attentionChanges(q: Tensor, k: Tensor, { heads, kvHeads }: Heads, removed?: number): Tensor {
  const tokens = q.dim(0);
  const width = (q.dim(1) as number) / heads;
  const scale = 1 / Math.sqrt(width);
  const group = heads / kvHeads;
  const Q = transpose(reshape(q, [tokens, kvHeads, group, width]), [1, 2, 3, 0]);
  const K = transpose(reshape(k, [tokens, kvHeads, 1, width]), [1, 2, 3, 0]);
  const terms = mul(reshape(Q, [kvHeads, group, width, tokens, 1]), reshape(K, [kvHeads, 1, width, 1, tokens]));
  const mask = causalMask(reshape(ops.range(tokens), [tokens, 1]), tokens, q.dtype);
  const scores = add(mul(sum(terms, { axes: [2], keepDims: true }), scale), mask);
  const change = sub(softmax(sub(scores, mul(terms, removed ?? scale))), softmax(scores));
  return sum(mul(change, change), { axes: [3, 4] });
}

/** Importance of the rows of W_q: `[heads * width]`, the norm of the change of the row's own head. */
export const queryScores = (changes: Tensor): Tensor => sqrt(reshape(changes, [product(...changes.shape)]));

/** Importance of the rows of W_k: `[kvHeads * width]`, over all heads that share the key. */
export function keyScores(changes: Tensor): Tensor {
  const [kvHeads, , width] = changes.shape as readonly [number, number, number];
  return sqrt(reshape(sum(changes, { axes: [1] }), [kvHeads * width]));
}

/** Sum over tokens of absolute values: the authors' score of a feed-forward or value neuron, whatever follows it. */
export const activationScores = (x: Tensor): Tensor => sum(ops.abs(x), { axes: [0] });

/**
 * The authors' score that queries and keys share, in the space of the queries `[heads * width]`: after the rotation, with the
 * rank-1 term taken out unscaled, and squared.
 */
export function referenceAttentionScores(q: Tensor, k: Tensor, heads: Heads): Tensor {
  const changes = attentionChanges(q, k, heads, 1);
  return reshape(changes, [product(...changes.shape)]);
}
