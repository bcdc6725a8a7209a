import { ops, product, quotient, type Tensor } from "../autodiff/index.ts";

const { add, barrier, customGradient, less, matmul, moveRows, mul, range, reshape, softmax, sub, sum, where } = ops;

/** Where each token of a flat axis stands in a padded `[batch, time]` grid. All int32. */
export interface Layout {
  /** `[batch, time]`: token number, -1 at padding. */
  readonly grid: Tensor;
  /** `[tokens]`: row of the grid. */
  readonly row: Tensor;
  /** `[tokens]`: column of the grid. */
  readonly column: Tensor;
}

/** For every cell of `[batch, heads, time]` its row in `[tokens * heads]`, and the way back. */
function headIndices({ grid, row, column }: Layout, heads: number) {
  const [batch, time] = [grid.dim(0), grid.dim(1)];
  const tokens = row.dim(0);
  const head = range(heads);
  const cells = reshape(grid, [batch, 1, time]);
  const index = where(less(cells, 0), -1, add(mul(cells, heads), reshape(head, [1, heads, 1])));
  const first = add(mul(reshape(row, [tokens, 1]), heads), reshape(head, [1, heads]));
  const inverse = add(mul(first, ops.dimSize(time, "int32")), reshape(column, [tokens, 1]));
  return {
    index: reshape(index, [product(batch, heads, time)]),
    inverse: reshape(inverse, [product(tokens, heads)]),
  };
}

/** Rows to the padded grid, zeros at padding: `[tokens, heads * width]` -> `[batch, heads, time, width]`. */
export function unpack(x: Tensor, layout: Layout, heads: number): Tensor {
  const width = quotient(x.dim(1), heads);
  const { index, inverse } = headIndices(layout, heads);
  const rows = reshape(x, [product(x.dim(0), heads), width]);
  const cells = moveRows(rows, index, inverse, { padded: true, inversePadded: false });
  return reshape(cells, [layout.grid.dim(0), heads, layout.grid.dim(1), width]);
}

/** The padded grid back to rows: `[batch, heads, time, width]` -> `[tokens, heads * width]`. Gradient of `unpack`. */
export function pack(x: Tensor, layout: Layout): Tensor {
  const [batch, heads, time, width] = x.shape as readonly [Tensor["shape"][0], number, Tensor["shape"][0], number];
  const { index, inverse } = headIndices(layout, heads);
  const cells = reshape(x, [product(batch ?? 1, heads, time ?? 1), width]);
  const rows = moveRows(cells, inverse, index, { padded: false, inversePadded: true });
  return reshape(rows, [layout.row.dim(0), heads * width]);
}

/** Added to the scores of keys that a query must not see. Large, but finite: a row of such scores stays a number. */
const HIDDEN = -1e9;

/** Keys after the query are hidden: query positions `[..., queries, 1]` -> `[..., queries, keys]`. */
export const causalMask = (queryPositions: Tensor, keys: Tensor["shape"][0], dtype: Tensor["dtype"]): Tensor =>
  where(less(queryPositions, range(keys ?? 1)), ops.constant(HIDDEN, dtype), ops.constant(0, dtype));

/**
 * `softmax(scale * Q K' + mask) V`, grouped queries included.
 *
 * q `[batch, heads, queries, width]`, k and v `[batch, kvHeads, keys, width]`, mask broadcasts to
 * `[batch, heads, queries, keys]`. The queries of a group are laid one below the other, so each group is one matrix
 * product and keys are never repeated.
 * Gradient with D = sum(dO * O) over the width: `dS = P * (dO V' - D)`, which needs no reduction over the keys
 * (Dao et al., arXiv 2205.14135, eq. 4).
 *
 * @param recompute Compute P again in the backward pass instead of keeping `[batch, heads, queries, keys]`.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: number, recompute = false): Tensor {
  const [batch, heads, queries, width] = q.shape as readonly [number, number, number, number];
  const [, kvHeads, keys] = k.shape as readonly [number, number, number];
  const grouped = [batch, kvHeads, product(heads / kvHeads, queries), width];
  const scoreShape = [batch, kvHeads, product(heads / kvHeads, queries), keys];
  const Q = reshape(q, grouped);
  const probabilities = (Q: Tensor, K: Tensor) => {
    const scores = reshape(matmul(Q, K, { transB: true, alpha: scale }), [batch, heads, queries, keys]);
    return reshape(softmax(add(scores, mask)), scoreShape);
  };
  const kept = probabilities(Q, k);
  const O = matmul(kept, v);
  const attended = customGradient([Q, k, v], O, (dO) => {
    const P = recompute ? probabilities(barrier(Q, dO), barrier(k, dO)) : kept;
    let memo: Tensor | undefined;
    const dS = () => {
      const along = sum(mul(dO, O), { axes: [-1], keepDims: true });
      memo ??= mul(P, sub(matmul(dO, v, { transB: true }), along));
      return memo;
    };
    return [
      () => matmul(dS(), k, { alpha: scale }),
      () => matmul(dS(), Q, { transA: true, alpha: scale }),
      () => matmul(P, dO, { transA: true }),
    ];
  });
  return reshape(attended, q.shape);
}
