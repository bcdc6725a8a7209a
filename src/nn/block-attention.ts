import { type Dim, ops, product, type Tensor, vjp } from "../autodiff/index.ts";
import { type Again, type Attention, attentionGradients, causalMask, scored } from "./attention.ts";

const { add, constant, customGradient, expand, matmul, reshape, scan, transpose } = ops;

/** Places in its line that each query sees: int32 `[blocks, batch, 1, queries, 1]`. */
export interface Seen {
  readonly first: Tensor;
  readonly last: Tensor;
}

/**
 * Attention block of queries by block of queries, forward and backward: no more than the scores of one block, `[batch, heads, queries, keys]`,
 * are ever in memory, so that it grows with the length of rows, not with its square. Equal to `attention` of all queries at once.
 *
 * q `[blocks, batch, heads, queries, width]`, k and v `[batch, kvHeads, keys, width]`; the result is like q.
 * Source: Dao et al., arXiv 2205.14135, algorithms 1 and 4, with whole rows of scores instead of tiles.
 */
export function blockAttention(q: Tensor, k: Tensor, v: Tensor, seen: Seen, seeing: Attention, again: Again): Tensor {
  const maskOf = ({ first, last }: Seen, keys: Dim) => causalMask(last, keys, q.dtype, first);
  const [value] = scan(
    ({ scanned: [q, first, last], read: [k, v] }) => {
      const [Q, K, V] = [q, k, v] as [Tensor, Tensor, Tensor];
      const { P } = scored(Q, K, maskOf({ first, last } as Seen, K.dim(2)), seeing);
      return { carried: [], outputs: [reshape(matmul(P, V), Q.shape)] };
    },
    { scanned: [q, seen.first, seen.last], read: [k, v] },
  ).outputs as [Tensor];
  // What the rule reads of the result is the result with this rule, so that second derivatives go through it.
  const O: Tensor = customGradient([q, k, v], value, (dO) => {
    const late = again(dO);
    const given = [late.q, late.k, late.v, O, dO] as const;
    let memo: readonly Tensor[] | undefined;
    return [0, 1, 2].map((of) => () => {
      memo ??= backward(given);
      const found = memo[of] as Tensor;
      // Who differentiates once more pays for all scores at once.
      return customGradient(given, found, (cotangent) =>
        given.map((_, i) => () => vjp(atOnce(given)[of] as Tensor, cotangent, given)[i] as Tensor),
      );
    });
  });
  return O;

  type Given = readonly [q: Tensor, k: Tensor, v: Tensor, O: Tensor, dO: Tensor];

  function backward([q, k, v, O, dO]: Given): readonly Tensor[] {
    const none = (like: Tensor) => expand(constant(0, like.dtype), like.shape);
    const { carried, outputs } = scan(
      ({ carried: [dK, dV], scanned: [q, O, dO, first, last], read: [k, v] }) => {
        const [Q, K, V] = [q, k, v] as [Tensor, Tensor, Tensor];
        const now = scored(Q, K, maskOf({ first, last } as Seen, K.dim(2)), seeing);
        const [ofQ, ofK, ofV] = attentionGradients(now, [K, V, O as Tensor, dO as Tensor], seeing.scale);
        return { carried: [add(dK as Tensor, ofK()), add(dV as Tensor, ofV())], outputs: [ofQ()] };
      },
      { carried: [none(k), none(v)], scanned: [q, O, dO, seen.first, seen.last], read: [k, v] },
    );
    return [...outputs, ...carried];
  }

  /** The same gradients from ordinary operations. */
  function atOnce([q, k, v, O, dO]: Given): readonly Tensor[] {
    const [blocks, batch, heads, queries, width] = q.shape as readonly [Dim, Dim, Dim, Dim, Dim];
    const joined = (x: Tensor) =>
      reshape(transpose(x, [1, 2, 0, 3, 4]), [batch, x.dim(2), product(blocks, queries), x.dim(4)]);
    const mask = maskOf({ first: joined(seen.first), last: joined(seen.last) }, k.dim(2));
    const now = scored(joined(q), k, mask, seeing);
    const [ofQ, ofK, ofV] = attentionGradients(now, [k, v, joined(O), joined(dO)], seeing.scale);
    const apart = transpose(reshape(ofQ(), [batch, heads, blocks, queries, width]), [2, 0, 1, 3, 4]);
    return [apart, ofK(), ofV()];
  }
}
