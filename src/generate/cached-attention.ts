import { ops, type Tensor } from "../autodiff/index.ts";
import { type Attention, causalMask, softCap } from "../nn/index.ts";

const { add, div, exp, matmul, max, maximum, mul, reshape, sub, sum } = ops;

/** What a layer remembers of the tokens before: `[batch, kvHeads, capacity, headDim]` each. */
export interface Past<T = Tensor> {
  readonly keys: T;
  readonly values: T;
}

/**
 * Attention of one new token a row over the remembered tokens and itself.
 *
 * q `[batch, heads * headDim]`, k and v `[batch, kvHeads * headDim]`, positions int32 `[batch]`: tokens that a row remembers.
 * A layer with a window remembers as many tokens as it sees, in places that are written over in turn: which place is whose does not
 * matter to attention, so places that hold something are all seen. The new key never joins the old ones, so the cache is read
 * once and not copied: with m the largest score, own the score of the token itself and P = exp(S - m), p = exp(own - m), the result is `(P V + p v) / (sum(P) + p)`.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  past: Past,
  positions: Tensor,
  { scale, softcap }: Attention,
): Tensor {
  const [batch, kvHeads, , headDim] = past.keys.shape as readonly [number, number, number, number];
  // The newest remembered token stands one place before the new one.
  const newest = reshape(sub(positions, 1), [batch, 1, 1, 1]);
  const mask = causalMask(newest, past.keys.dim(2), q.dtype);
  const Q = reshape(q, [batch, kvHeads, -1, headDim]);
  const [key, value] = [k, v].map((x) => reshape(x, [batch, kvHeads, 1, headDim])) as [Tensor, Tensor];
  const scoresOf = (keys: Tensor) => softCap(matmul(Q, keys, { transB: true, alpha: scale }), softcap).value;
  const [scores, own] = [add(scoresOf(past.keys), mask), scoresOf(key)];
  const largest = maximum(max(scores, { axes: [-1], keepDims: true }), own);
  const [P, p] = [exp(sub(scores, largest)), exp(sub(own, largest))];
  const total = add(sum(P, { axes: [-1], keepDims: true }), p);
  return reshape(div(add(matmul(P, past.values), mul(p, value)), total), q.shape);
}
