import { type Dim, dim, type ops, type Shape, type Tensor, type TensorType } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { IGNORE } from "../formats/labels.ts";
import type { Mapped } from "../runtime/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";

/** One example: token ids and what is learned of them; -100 marks tokens that are only read. */
export interface Example {
  readonly inputIds: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  /** Whether its answer is safe, of data that say so: pairs of answers. */
  readonly safe?: boolean;
}

/** Rows inside a program, without their padding: tokens are one flat axis. Integers are int32. */
export interface Rows {
  /** `[tokens]` */
  readonly ids: Tensor;
  /** `[tokens]`: place of each token in its row. */
  readonly column: Tensor;
  /** From tokens to `[batch, time]`, where attention sees them. */
  readonly grid: ops.Index;
  /** From tokens to those whose successor is asked for, `[labelled]`: they alone are computed to the end. */
  readonly labelled: ops.Index;
  /** From these to `[batch, queryTime]`, where the last layer's attention sees their queries. */
  readonly queries: ops.Index;
}

/** Rows and what is learned of them. */
export interface Batch extends Rows {
  /** From labelled tokens to the rows of the loss, `[chunks, lossChunk]`: filler at the end. */
  readonly loss: ops.Index;
  /** `[chunks, lossChunk]` */
  readonly labels: Tensor;
  /** float `[chunks, lossChunk]`: weight of each in the loss, 0 for filler. */
  readonly shares: Tensor;
}

/** Places that read one token. */
const READERS = 1;

const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });
const indexTypes = (places: Shape, rows: Dim) => ({ to: int32(...places), back: int32(rows, READERS) });

/** Types of rows as a program's arguments; sizes carry a name, so that several can differ in one program. */
export function rowTypes(name: string) {
  const size = (what: string) => dim(`${name}.${what}`);
  const [tokens, batch, labelled] = [size("tokens"), size("batch"), size("labelled")];
  return {
    ids: int32(tokens),
    column: int32(tokens),
    grid: indexTypes([batch, size("time")], tokens),
    labelled: indexTypes([labelled], tokens),
    queries: indexTypes([batch, size("queryTime")], labelled),
  };
}

/** `rowTypes` of rows of which something is learned, in `chunks` parts. */
export function batchTypes(name: string, chunks: number) {
  const loss = [chunks, dim(`${name}.lossChunk`)];
  return {
    ...rowTypes(name),
    loss: indexTypes(loss, dim(`${name}.labelled`)),
    labels: int32(...loss),
    shares: { dtype: "float32" as const, shape: loss },
  };
}

type RowTypes = ReturnType<typeof rowTypes>;
type BatchTypes = ReturnType<typeof batchTypes>;

/** Rows among a program's arguments. Every token stands in the grid, and not every token is labelled. */
export const rowsOf = ({ ids, column, grid, labelled, queries }: Mapped<RowTypes, Tensor>): Rows => ({
  ids,
  column,
  grid: { ...grid, padded: true, partial: false },
  labelled: { ...labelled, padded: false, partial: true },
  queries: { ...queries, padded: true, partial: false },
});

/** A batch among a program's arguments. */
export const batchOf = (given: Mapped<BatchTypes, Tensor>): Batch => ({
  ...rowsOf(given),
  loss: { ...given.loss, padded: true, partial: false },
  labels: given.labels,
  shares: given.shares,
});

const indexed = (shape: readonly number[], to: ArrayLike<number>, back: ArrayLike<number>) => ({
  to: tensor("int32", shape, to),
  back: tensor("int32", [back.length, READERS], back),
});

/** Rows of tokens without their padding; `asked` are the columns of a row whose successor is asked for, in order. */
export function packRows(
  rows: readonly { readonly ids: ArrayLike<number>; readonly asked: readonly number[] }[],
): Mapped<RowTypes, HostTensor> {
  const time = Math.max(...rows.map(({ ids }) => ids.length));
  const queryTime = Math.max(...rows.map(({ asked }) => asked.length));
  const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
  const [ids, column, cells] = [new Int32Array(tokens), new Int32Array(tokens), new Int32Array(tokens)];
  const tokenLabelled = new Int32Array(tokens).fill(-1);
  const grid = new Int32Array(rows.length * time).fill(-1);
  const queryGrid = new Int32Array(rows.length * queryTime).fill(-1);
  const [labelled, queryCells]: [number[], number[]] = [[], []];
  let first = 0;
  for (const [r, row] of rows.entries()) {
    row.asked.forEach((t, place) => {
      queryGrid[r * queryTime + place] = tokenLabelled[first + t] = labelled.length;
      queryCells.push(r * queryTime + place);
      labelled.push(first + t);
    });
    for (let t = 0; t < row.ids.length; t++) {
      ids[first + t] = row.ids[t] as number;
      column[first + t] = t;
      cells[first + t] = r * time + t;
      grid[r * time + t] = first + t;
    }
    first += row.ids.length;
  }
  return {
    ids: tensor("int32", [tokens], ids),
    column: tensor("int32", [tokens], column),
    grid: indexed([rows.length, time], grid, cells),
    labelled: indexed([labelled.length], labelled, tokenLabelled),
    queries: indexed([rows.length, queryTime], queryGrid, queryCells),
  };
}

/**
 * Examples without their padding: only tokens whose successor is labelled reach the last layer's queries and the loss.
 *
 * @param totalLabelled Divisor of the loss where the batch is part of a bigger one; then it may lack labels of its own.
 * @param chunks The loss is computed in this many equal parts; filler rows have weight 0.
 * @throws {BoosterError} `NO_TRAINED_TOKENS` when no token of the batch is labelled.
 */
export function packBatch(
  examples: readonly Example[],
  { chunks, totalLabelled }: { readonly chunks: number; readonly totalLabelled?: number },
): Mapped<BatchTypes, HostTensor> {
  // An empty part of a bigger batch still runs: one token, weight 0.
  const rows = (examples.length > 0 ? examples : [{ inputIds: [0], labels: [IGNORE] }]).map(({ inputIds, labels }) => {
    const asked: number[] = [];
    for (let t = 0; t + 1 < inputIds.length; t++) if (labels[t + 1] !== IGNORE) asked.push(t);
    return { ids: inputIds, labels, asked };
  });
  const found = rows.flatMap(({ labels, asked }) => asked.map((t) => labels[t + 1] as number));
  if (found.length === 0 && !totalLabelled) {
    throw new BoosterError("NO_TRAINED_TOKENS", "a batch without a single token to learn", {
      expected: "at least one label that is not -100 after the first token",
      hint: "Longer examples may have been cut before their answer: see `booster inspect`.",
    });
  }
  // Without a label of its own the first token stands in, with weight 0.
  if (found.length === 0) rows[0]?.asked.push(0);
  const count = Math.max(found.length, 1);
  const shape = [chunks, Math.ceil(count / chunks)];
  const filled = (value: (i: number) => number | undefined, filler: number) =>
    Array.from({ length: sizeOf(shape) }, (_, i) => (i < count ? value(i) : undefined) ?? filler);
  const share = 1 / (totalLabelled ?? found.length);
  return {
    ...packRows(rows),
    loss: indexed(
      shape,
      filled((i) => i, -1),
      Array.from({ length: count }, (_, i) => i),
    ),
    labels: tensor(
      "int32",
      shape,
      filled((i) => found[i], 0),
    ),
    shares: tensor(
      "float32",
      shape,
      filled((i) => (i < found.length ? share : 0), 0),
    ),
  };
}
