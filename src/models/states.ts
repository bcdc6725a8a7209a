import { ops, product, type Tensor } from "../autodiff/index.ts";
import { attention, causalMask, type Grid, maskOf, pack, unpack } from "../nn/index.ts";
import type { Attend, Forward, Model, Where } from "./architecture.ts";
import type { Place } from "./modules.ts";
import type { PaddedBatch } from "./padded.ts";
import type { Rows } from "./rows.ts";
import type { Weights } from "./weights.ts";

/** What may look on, or take part, while states are computed: see `Forward`. */
export type Watch = Pick<Forward, "tap" | "observe" | "recompute">;

interface Within extends Pick<Rows, "column"> {
  readonly grid: Grid;
  /** Where queries stand in the grid and in its lines; by default where the keys do. `only`: computes the last layer's end for these alone. */
  readonly asking?: Pick<Rows, "own" | "place"> & { readonly only?: Pick<Rows, "labelled" | "queries"> };
  /** int32 `[batch, time]`, 0 at keys that nobody sees; by default all are seen. */
  readonly keys?: Tensor;
  /** Told each layer's keys and values, `[batch, kvHeads, time, headDim]`. */
  remember?(layer: number, keys: Tensor, values: Tensor): void;
}

/** Causal attention among the tokens of rows, through the padded grid. */
export function within(
  model: Model,
  { dtype }: Pick<Weights, "dtype">,
  { column, grid, asking, keys, remember }: Within,
  { recompute = false }: Watch = {},
): Where {
  const [batch, time] = "to" in grid ? [grid.to.dim(0), grid.to.dim(1)] : grid;
  const unseen = keys && maskOf(ops.less(ops.reshape(keys, [batch, 1, 1, time]), 1), dtype);
  const attendFrom = (queries: Grid, { first, last }: Span): Attend => {
    return (layer, q, k, v) => {
      const seeing = model.attention(layer);
      const causal = causalMask(last, time, dtype, windowFrom(first, last, seeing.window));
      const mask = unseen === undefined ? causal : ops.add(causal, unseen);
      const read = (q: Tensor, k: Tensor, v: Tensor) => ({
        Q: unpack(q, queries, model.heads),
        K: unpack(k, grid, model.kvHeads),
        V: unpack(v, grid, model.kvHeads),
      });
      const { Q, K, V } = read(q, k, v);
      remember?.(layer, K, V);
      const again = (after: Tensor) => read(ops.barrier(q, after), ops.barrier(k, after), ops.barrier(v, after));
      return pack(attention(Q, K, V, mask, seeing, recompute ? again : undefined), queries);
    };
  };
  const length = ops.reshape(ops.dimSize(time, "int32"), [1]);
  const all = { positions: column, length };
  if (asking === undefined) {
    return { ...all, attend: attendFrom(grid, { last: ops.reshape(ops.range(time), [time, 1]) }) };
  }
  const { own, place, only } = asking;
  const start = ops.sub(place, column);
  /** Filler takes the place of some token: one key is always visible. */
  const spanOf = ({ to }: ops.Index, of = (x: Tensor) => x): Span => {
    const at = (x: Tensor) => ops.reshape(ops.gather(of(x), to), [batch, 1, to.dim(1), 1]);
    return { first: at(start), last: at(place) };
  };
  const attend = attendFrom(own, spanOf(own));
  if (only === undefined) return { ...all, attend };
  const { labelled, queries } = only;
  const picked = (x: Tensor) => ops.gather(x, labelled.to);
  return {
    ...all,
    attend,
    only: {
      rows: (x) => ops.move(x, labelled),
      positions: picked(column),
      length,
      attend: attendFrom(queries, spanOf(queries, picked)),
    },
  };
}

/** The places in its line that a query sees: int32 `[..., queries, 1]`, from the first one on where `first` is absent. */
interface Span {
  readonly first?: Tensor;
  readonly last: Tensor;
}

function windowFrom(first: Tensor | undefined, last: Tensor, window: number | undefined): Tensor | undefined {
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
