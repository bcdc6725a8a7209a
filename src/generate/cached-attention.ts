import { ops, type Tensor } from "../autodiff/index.ts";
import { type Attention, causalMask, softCap } from "../nn/index.ts";

const { add, div, exp, matmul, max, maximum, mul, reshape, sub, sum, transpose } = ops;

/** What a layer remembers of the tokens before: `[batch, kvHeads, capacity, headDim]` each. */
export interface Past<T = Tensor> {
  readonly keys: T;
  readonly values: T;
}

/** Where a step's tokens stand. */
export interface Standing {
  /** int32 `[batch]` */
  readonly positions: Tensor;
  /** int32 `[batch]`, how many tokens a row remembers by itself. */
  readonly own: Tensor;
  /** What all rows have before their own, one copy: `[1, kvHeads, shared, headDim]`. */
  readonly shared?: Past | undefined;
}

/**
 * Attention of one new token a row over the tokens that all rows share, those that the row remembers by itself, and the new one.
 *
 * q `[batch, heads * headDim]`, k and v `[batch, kvHeads * headDim]`.
 * A layer with a window remembers as many tokens as it sees, in places that are written over in turn: which place is whose does not
 * matter to attention, so places that hold something are all seen. The new key never joins the old ones, so the cache is read
 * once and not copied: with m the largest score, own the score of the token itself and P = exp(S - m), p = exp(own - m), the result is
 * `(P V + p v) / (sum(P) + p)`. Shared tokens are one more S and V, whose products take the queries of all rows at once.
 */
export function cachedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  past: Past,
  { positions, own, shared }: Standing,
  { scale, softcap, window }: Attention,
): Tensor {
  const [batch, kvHeads, , headDim] = past.keys.shape as readonly [number, number, number, number];
  const column = (x: Tensor) => reshape(x, [batch, 1, 1, 1]);
  const Q = reshape(q, [batch, kvHeads, -1, headDim]);
  const group = Q.dim(2) as number;
  const [key, value] = [k, v].map((x) => reshape(x, [batch, kvHeads, 1, headDim])) as [Tensor, Tensor];
  const scoresOf = (q: Tensor, keys: Tensor) => softCap(matmul(q, keys, { transB: true, alpha: scale }), softcap).value;
  const along = { axes: [-1], keepDims: true };
  // `[batch, kvHeads, group, n]` to `[kvHeads, batch, group, n]` and back: what is shared meets the queries of a head as one matrix.
  const turned = (x: Tensor) => transpose(x, [1, 0, 2, 3]);

  // The newest remembered token stands one place before the new one.
  const mask = causalMask(column(sub(own, 1)), past.keys.dim(2), q.dtype);
  const [scores, self] = [add(scoresOf(Q, past.keys), mask), scoresOf(Q, key)];
  const before = shared && {
    ...shared,
    scores: (() => {
      const length = shared.keys.dim(2);
      const queries = reshape(turned(Q), [1, kvHeads, -1, headDim]);
      const found = reshape(scoresOf(queries, shared.keys), [kvHeads, batch, group, length]);
      if (window === undefined) return found;
      const at = reshape(positions, [1, batch, 1, 1]);
      return add(found, causalMask(at, length, q.dtype, sub(at, window - 1)));
    })(),
  };
  const largest = [max(scores, along), ...(before ? [turned(max(before.scores, along))] : [])].reduce(maximum, self);
  const [P, p] = [exp(sub(scores, largest)), exp(sub(self, largest))];
  let [result, total] = [add(matmul(P, past.values), mul(p, value)), add(sum(P, along), p)];
  if (before) {
    const B = exp(sub(before.scores, turned(largest)));
    const flat = reshape(B, [1, kvHeads, -1, before.keys.dim(2)]);
    const found = reshape(matmul(flat, before.values), [kvHeads, batch, group, headDim]);
    [result, total] = [add(result, turned(found)), add(total, turned(sum(B, along)))];
  }
  return reshape(div(result, total), q.shape);
}
