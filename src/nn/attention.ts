import { type Dim, ops, product, quotient, type Tensor } from "../autodiff/index.ts";
import { softCap } from "./soft-cap.ts";

const {
  add,
  collect,
  customGradient,
  div,
  less,
  matmul,
  move,
  mul,
  range,
  reshape,
  softmax,
  sub,
  sum,
  transpose,
  where,
} = ops;

/** Where tokens stand in `[batch, time]`: `to` has this shape; in rows of one length they stand one after the other. */
export type Grid = ops.Index | readonly [batch: Dim, time: Dim];

/** The same index for the heads of each token: rows `[tokens * heads]`, places `[batch, heads, time]` instead of `[batch, time]`. */
function perHead({ to, back, readers, ...holds }: ops.Index, heads: number): ops.Index {
  const [batch, time] = [to.dim(0), to.dim(1)];
  const head = reshape(range(heads), [1, heads, 1]);
  const length = ops.dimSize(time, "int32");
  /** Place (row, column) becomes (row, head, column), list j becomes lists (j, head): `[lists, n]` to `[lists * heads, n]`. */
  const apart = (given: Tensor, hasLists: boolean, hasNone: boolean) => {
    const places = reshape(given, [given.dim(0), 1, product(...given.shape.slice(1))]);
    const each = add(mul(places, heads), head);
    const cells = add(mul(add(mul(div(places, length), heads - 1), head), length), places);
    const all = hasLists ? where(less(places, ops.dimSize(product(batch, time), "int32")), cells, each) : cells;
    return reshape(hasNone ? where(less(places, 0), -1, all) : all, [
      product(given.dim(0), heads),
      ...given.shape.slice(1),
    ]);
  };
  const cells = reshape(to, [batch, 1, time]);
  const rows = add(mul(cells, heads), head);
  return {
    to: holds.padded ? where(less(cells, 0), -1, rows) : rows,
    back: apart(back, readers !== undefined, holds.partial),
    readers: readers && apart(readers, false, true),
    ...holds,
  };
}

/** Tokens to the grid, zeros at padding: `[tokens, heads * width]` to `[batch, heads, time, width]`. */
export function unpack(x: Tensor, grid: Grid, heads: number): Tensor {
  const width = quotient(x.dim(1), heads);
  if ("to" in grid) return move(reshape(x, [product(x.dim(0), heads), width]), perHead(grid, heads));
  return transpose(reshape(x, [...grid, heads, width]), [0, 2, 1, 3]);
}

/**
 * Places of lines in blocks, `[lines, blocks, length]`, as an index of the blocks of all lines, one block after the other:
 * `[blocks * lines, length]`.
 */
export function blocksFirst({ to, back, ...holds }: ops.Index): ops.Index {
  const [lines, blocks, length] = [to.dim(0), to.dim(1), to.dim(2)];
  const size = (of: Dim) => ops.dimSize(of, "int32");
  const block = div(back, size(length));
  const line = div(block, size(blocks));
  const blockOfLine = sub(block, mul(line, size(blocks)));
  const column = sub(back, mul(block, size(length)));
  return {
    to: reshape(transpose(to, [1, 0, 2]), [product(blocks, lines), length]),
    back: add(mul(add(mul(blockOfLine, size(lines)), line), size(length)), column),
    ...holds,
  };
}

/** The grid back to tokens: `[batch, heads, time, width]` to `[tokens, heads * width]`. Gradient of `unpack`. */
export function pack(x: Tensor, grid: Grid): Tensor {
  const heads = x.dim(1) as number;
  const [rows, tokens] =
    "to" in grid
      ? [collect(x, perHead(grid, heads)), grid.back.dim(0)]
      : [transpose(x, [0, 2, 1, 3]), product(...grid)];
  return reshape(rows, [tokens, product(heads, x.dim(3))]);
}

/** Added to the scores of keys that a query must not see. Large, but finite: a row of such scores stays a number. */
const HIDDEN = -1e9;

/** What is added to scores: much less than nothing where `hidden` holds. */
export const maskOf = (hidden: Tensor, dtype: Tensor["dtype"]): Tensor =>
  where(hidden, ops.constant(HIDDEN, dtype), ops.constant(0, dtype));

/** How a layer's queries see keys. */
export interface Attention {
  /** What scores are multiplied by. */
  readonly scale: number;
  /** How many tokens a token sees: itself and those just before it. Absent: all before it. */
  readonly window?: number | undefined;
  /** Bounds the scores before the mask: `softcap tanh(scores / softcap)`. */
  readonly softcap?: number | undefined;
}

/**
 * Keys behind the last place that a query sees are hidden, and those before the first one: both int32 `[..., queries, 1]` ->
 * `[..., queries, keys]`.
 */
export function causalMask(last: Tensor, keys: Dim, dtype: Tensor["dtype"], first?: Tensor): Tensor {
  const key = range(keys);
  const causal = maskOf(less(last, key), dtype);
  return first === undefined ? causal : add(causal, maskOf(less(key, first), dtype));
}

/** What the backward pass reads of queries, keys and values: P is `[batch, kvHeads, group * queries, keys]`. */
interface Scored {
  readonly Q: Tensor;
  readonly P: Tensor;
  /** Of the soft cap. */
  readonly slope: Tensor | number;
}

/** The queries of a group are laid one below the other, so each group is one matrix product and keys are never repeated. */
export function scored(q: Tensor, k: Tensor, mask: Tensor, { scale, softcap }: Attention): Scored {
  const [batch, heads, queries, width] = q.shape as readonly [number, number, number, number];
  const [, kvHeads, keys] = k.shape as readonly [number, number, number];
  const rows = product(heads / kvHeads, queries);
  const Q = reshape(q, [batch, kvHeads, rows, width]);
  const { value, slope } = softCap(matmul(Q, k, { transB: true, alpha: scale }), softcap);
  const scores = add(reshape(value, [batch, heads, queries, keys]), mask);
  return { Q, P: reshape(softmax(scores), [batch, kvHeads, rows, keys]), slope };
}

/**
 * Gradients of queries, keys and values, each in its shape. With D = sum(dO * O) over the width: `dS = P * (dO V' - D)`, which needs no
 * reduction over the keys (Dao et al., arXiv 2205.14135, eq. 4); a soft cap's slope is multiplied to it.
 */
export function attentionGradients(
  { Q, P, slope }: Scored,
  [k, v, O, dO]: readonly [Tensor, Tensor, Tensor, Tensor],
  scale: number,
): readonly [q: () => Tensor, k: () => Tensor, v: () => Tensor] {
  const [own, given] = [reshape(O, Q.shape), reshape(dO, Q.shape)];
  let memo: Tensor | undefined;
  const dS = () => {
    const along = sum(mul(given, own), { axes: [-1], keepDims: true });
    memo ??= mul(mul(P, sub(matmul(given, v, { transB: true }), along)), slope);
    return memo;
  };
  return [
    () => reshape(matmul(dS(), k, { alpha: scale }), O.shape),
    () => matmul(dS(), Q, { transA: true, alpha: scale }),
    () => matmul(P, given, { transA: true }),
  ];
}

/** Queries, keys and values as the backward pass reads them, not before `after` is there. */
export type Again = (after: Tensor) => { readonly q: Tensor; readonly k: Tensor; readonly v: Tensor };

/**
 * `softmax(softcap tanh(scale * Q K' / softcap) + mask) V`, grouped queries included; without a soft cap `softmax(scale * Q K' + mask) V`.
 *
 * q `[batch, heads, queries, width]`, k and v `[batch, kvHeads, keys, width]`, mask broadcasts to
 * `[batch, heads, queries, keys]`.
 *
 * @param again Compute P again in the backward pass, from what this reads then, instead of keeping `[batch, heads, queries, keys]`.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, seeing: Attention, again?: Again): Tensor {
  const now = scored(q, k, mask, seeing);
  const O = reshape(matmul(now.P, v), q.shape);
  return customGradient([q, k, v], O, (dO) => {
    if (again === undefined) return attentionGradients(now, [k, v, O, dO], seeing.scale);
    const late = again(dO);
    return attentionGradients(scored(late.q, late.k, mask, seeing), [late.k, late.v, O, dO], seeing.scale);
  });
}
