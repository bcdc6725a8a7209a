import { type Dim, ops, product, type Tensor } from "../autodiff/index.ts";
import {
  type Again,
  attention,
  blockAttention,
  blocksFirst,
  causalMask,
  type Grid,
  maskOf,
  pack,
  unpack,
} from "../nn/index.ts";
import type { Attend, Forward, Model, Where } from "./architecture.ts";
import type { Place } from "./modules.ts";
import type { PaddedBatch } from "./padded.ts";
import type { Rows } from "./rows.ts";
import type { Weights } from "./weights.ts";

/** What may look on, or take part, while states are computed: see `Forward`. */
export interface Watch extends Pick<Forward, "tap" | "observe" | "recompute"> {
  /** Meet queries with keys block by block, and again in the backward pass, so that scores are never kept. By default what `recompute` is. */
  readonly blocks?: boolean;
}

interface Within extends Pick<Rows, "column"> {
  readonly grid: Grid;
  /** Where queries stand in the grid and in its lines; by default where the keys do. `only`: computes the last layer's end for these alone. */
  readonly asking?: Pick<Rows, "own" | "place"> & { readonly only?: Pick<Rows, "labelled" | "queries"> };
  /** int32 `[batch, time]`, 0 at keys that nobody sees; by default all are seen. */
  readonly keys?: Tensor;
}

/** Causal attention among the tokens of rows, through the padded grid. */
export function within(
  model: Model,
  { dtype }: Pick<Weights, "dtype">,
  { column, grid, asking, keys }: Within,
  { recompute = false, blocks: inTurn = recompute }: Watch = {},
): Where {
  const [batch, time] = "to" in grid ? [grid.to.dim(0), grid.to.dim(1)] : grid;
  const standing = { positions: column, length: ops.reshape(ops.dimSize(time, "int32"), [1]) };
  const keysOf = (k: Tensor, v: Tensor) => ({ k: unpack(k, grid, model.kvHeads), v: unpack(v, grid, model.kvHeads) });
  if (asking === undefined) {
    const last = ops.reshape(ops.range(time), [time, 1]);
    const unseen = keys && maskOf(ops.less(ops.reshape(keys, [batch, 1, 1, time]), 1), dtype);
    const attend: Attend = (layer, q, k, v) => {
      const seeing = model.attention(layer);
      const causal = causalMask(last, time, dtype, windowFrom(undefined, last, seeing.window));
      const mask = unseen === undefined ? causal : ops.add(causal, unseen);
      const read = (q: Tensor, k: Tensor, v: Tensor) => ({ q: unpack(q, grid, model.heads), ...keysOf(k, v) });
      const now = read(q, k, v);
      return pack(attention(now.q, now.k, now.v, mask, seeing, inTurn ? late(read, q, k, v) : undefined), grid);
    };
    return { ...standing, attend };
  }
  const { own, place, only } = asking;
  const start = ops.sub(place, column);
  /** @param of from tokens to those whose queries these are */
  const attendFrom = (queries: ops.Index, of = (x: Tensor) => x): Attend => {
    const [lines, blocks, length] = queries.to.shape as readonly [Dim, Dim, Dim];
    const index = inTurn
      ? blocksFirst(queries)
      : { ...queries, to: ops.reshape(queries.to, [lines, product(blocks, length)]) };
    // Filler takes the place of some token: one key is always visible.
    const at = (x: Tensor) => ops.gather(of(x), index.to);
    const [first, last] = [at(start), at(place)];
    return (layer, q, k, v) => {
      const seeing = model.attention(layer);
      const from = windowFrom(first, last, seeing.window);
      const read = (q: Tensor, k: Tensor, v: Tensor) => ({ q: unpack(q, index, model.heads), ...keysOf(k, v) });
      const now = read(q, k, v);
      if (!inTurn) {
        const wide = (x: Tensor) => ops.reshape(x, [lines, 1, index.to.dim(1), 1]);
        return pack(attention(now.q, now.k, now.v, causalMask(wide(last), time, dtype, wide(from)), seeing), index);
      }
      const inBlocks = (x: Tensor, heads: number, width: number) =>
        ops.reshape(x, [blocks, lines, heads, length, width]);
      const queriesOf = (x: Tensor) => inBlocks(x, model.heads, model.headDim);
      const seen = { first: inBlocks(from, 1, 1), last: inBlocks(last, 1, 1) };
      const again = late((q, k, v) => ({ ...read(q, k, v), q: queriesOf(unpack(q, index, model.heads)) }), q, k, v);
      const found = blockAttention(queriesOf(now.q), now.k, now.v, seen, seeing, again);
      return pack(ops.reshape(found, now.q.shape), index);
    };
  };
  const attend = attendFrom(own);
  if (only === undefined) return { ...standing, attend };
  const { labelled, queries } = only;
  const picked = (x: Tensor) => ops.gather(x, labelled.to);
  return {
    ...standing,
    attend,
    only: {
      ...standing,
      rows: (x) => ops.move(x, labelled),
      positions: picked(column),
      attend: attendFrom(queries, picked),
    },
  };
}

/** Reads flat queries, keys and values anew, not before the backward pass is there: they are smaller than what is read from them. */
const late =
  (read: (q: Tensor, k: Tensor, v: Tensor) => ReturnType<Again>, q: Tensor, k: Tensor, v: Tensor): Again =>
  (after) =>
    read(ops.barrier(q, after), ops.barrier(k, after), ops.barrier(v, after));

/** The first place that a query sees, where a window may begin behind the row. */
function windowFrom<T extends Tensor | undefined>(first: T, last: Tensor, window: number | undefined): T | Tensor {
  if (window === undefined) return first;
  const from = ops.sub(last, window - 1);
  return first === undefined ? from : ops.maximum(first, from);
}

/** Final hidden states of every token: `[tokens, hidden]`. */
export const hiddenStates = (model: Model, weights: Weights, rows: Rows, watch: Watch = {}): Tensor =>
  model.hidden({ weights, ids: rows.ids, where: within(model, weights, { ...rows, asking: rows }, watch), ...watch });

/** Final hidden states of the tokens whose successor is asked for: `[labelled, hidden]`. */
export const labelledStates = (model: Model, weights: Weights, rows: Rows, watch: Watch = {}): Tensor =>
  model.hidden({
    weights,
    ids: rows.ids,
    where: within(model, weights, { ...rows, asking: { ...rows, only: rows } }, watch),
    ...watch,
  });

/**
 * Final hidden states of every position, padding included: `[batch * time, hidden]`. A padding position carries the
 * embedding of the padding token, stands at its own place in the row (in some families all at one) and sees the row's tokens alone, as in Hugging Face's models.
 */
export function paddedStates(model: Model, weights: Weights, { ids, mask }: PaddedBatch, watch: Watch = {}): Tensor {
  const [batch, time] = [ids.dim(0), ids.dim(1)];
  const tokens = product(batch, time);
  const places = ops.expand(ops.reshape(ops.range(time), [1, time]), ids.shape);
  const standing =
    model.paddingPosition === undefined ? places : ops.where(ops.less(mask, 1), model.paddingPosition, places);
  const column = ops.reshape(standing, [tokens]);
  const where = within(model, weights, { column, grid: [batch, time], keys: mask }, watch);
  return model.hidden({ weights, ids: ops.reshape(ids, [tokens]), where, ...watch });
}

/**
 * What is put out at some places on the way of a pass, in the order of the model.
 *
 * @example
 * const { outputs } = outputsAt(["block"], (tap) => hiddenStates(model, weights, rows, { tap }));
 */
export function outputsAt<T>(
  places: readonly Place[],
  pass: (tap: NonNullable<Forward["tap"]>) => T,
): { readonly value: T; readonly outputs: readonly Tensor[] } {
  const outputs: Tensor[] = [];
  const value = pass((place, _, x) => {
    if (places.includes(place)) outputs.push(x);
    return x;
  });
  return { value, outputs };
}
