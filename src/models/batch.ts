import { dim, ops, type Shape, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { IGNORE } from "../formats/labels.ts";
import { attention, causalMask, type Layout, linearCrossEntropy, pack, unpack, weight } from "../nn/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import type { Forward, Model } from "./architecture.ts";
import { type PaddedBatch, paddedStates } from "./padded.ts";

/** One example: token ids and what is learned of them; -100 marks tokens that are only read. */
export interface Example {
  readonly inputIds: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
}

/** Arguments of a program that reads one batch; sizes carry the batch's name, so that several batches can differ. */
export function batchSpec(name: string, chunks: number): Record<string, TensorType> {
  const size = (what: string) => dim(`${name}.${what}`);
  const int32 = (...shape: Shape): TensorType => ({ dtype: "int32", shape });
  const [tokens, batch, time] = [size("tokens"), size("batch"), size("time")];
  const [labelled, queryTime, lossChunk] = [size("labelled"), size("queryTime"), size("lossChunk")];
  const types: Record<keyof Fields, TensorType> = {
    inputIds: int32(tokens),
    grid: int32(batch, time),
    row: int32(tokens),
    column: int32(tokens),
    labelledTokens: int32(labelled),
    tokenLabelled: int32(tokens),
    queryGrid: int32(batch, queryTime),
    queryPositions: int32(batch, queryTime),
    queryRow: int32(labelled),
    queryColumn: int32(labelled),
    lossRows: int32(chunks, lossChunk),
    labelledLossRow: int32(labelled),
    labels: int32(chunks, lossChunk),
    lossWeights: { dtype: "float32", shape: [chunks, lossChunk] },
  };
  return Object.fromEntries(Object.entries(types).map(([field, type]) => [`${name}.${field}`, type]));
}

/** The arrays that describe a batch; their meaning is told in `Batch`. */
interface Fields {
  inputIds: HostTensor;
  grid: HostTensor;
  row: HostTensor;
  column: HostTensor;
  labelledTokens: HostTensor;
  tokenLabelled: HostTensor;
  queryGrid: HostTensor;
  queryPositions: HostTensor;
  queryRow: HostTensor;
  queryColumn: HostTensor;
  lossRows: HostTensor;
  labelledLossRow: HostTensor;
  labels: HostTensor;
  lossWeights: HostTensor;
}

/** A token whose successor is learned. */
interface Labelled {
  readonly token: number;
  readonly row: number;
  readonly column: number;
  readonly label: number;
  readonly weight: number;
}

/**
 * Examples without their padding: tokens are one flat axis, and only tokens whose successor is labelled reach the
 * last layer's queries and the loss.
 *
 * @param totalLabelled Divisor of the loss where the batch is part of a bigger one; then it may lack labels of its own.
 * @param chunks The loss is computed in this many equal parts; filler rows have weight 0.
 * @throws {BoosterError} `NO_TRAINED_TOKENS` when no token of the batch is labelled.
 */
export function packBatch(
  name: string,
  examples: readonly Example[],
  { chunks, totalLabelled }: { readonly chunks: number; readonly totalLabelled?: number },
): Record<string, HostTensor> {
  // An empty part of a bigger batch still runs: one token, weight 0.
  const rows = examples.length > 0 ? examples : [{ inputIds: [0], labels: [IGNORE] }];
  const time = Math.max(...rows.map((example) => example.inputIds.length));
  const ids: number[] = [];
  const row: number[] = [];
  const column: number[] = [];
  const found: Omit<Labelled, "weight">[] = [];
  const grid = new Int32Array(rows.length * time).fill(-1);
  rows.forEach(({ inputIds, labels }, r) => {
    for (let t = 0; t < inputIds.length; t++) {
      const label = t + 1 < inputIds.length ? (labels[t + 1] as number) : IGNORE;
      if (label !== IGNORE) found.push({ token: ids.length, row: r, column: t, label });
      grid[r * time + t] = ids.length;
      ids.push(inputIds[t] as number);
      row.push(r);
      column.push(t);
    }
  });
  if (found.length === 0 && !totalLabelled) {
    throw new BoosterError("NO_TRAINED_TOKENS", "a batch without a single token to learn", {
      expected: "at least one label that is not -100 after the first token",
      hint: "Longer examples may have been cut before their answer: see `booster inspect`.",
    });
  }
  const weight = 1 / (totalLabelled ?? found.length);
  const labelled: readonly Labelled[] =
    found.length > 0
      ? found.map((entry) => ({ ...entry, weight }))
      : [{ token: 0, row: 0, column: 0, label: 0, weight: 0 }];
  const fields: Fields = {
    inputIds: tensor("int32", [ids.length], ids),
    grid: tensor("int32", [rows.length, time], grid),
    row: tensor("int32", [ids.length], row),
    column: tensor("int32", [ids.length], column),
    ...packQueries(labelled, rows.length, ids.length),
    ...packLoss(labelled, chunks),
  };
  return Object.fromEntries(Object.entries(fields).map(([field, value]) => [`${name}.${field}`, value]));
}

function packQueries(labelled: readonly Labelled[], batch: number, tokens: number) {
  const tokenLabelled = new Int32Array(tokens).fill(-1);
  const taken = new Int32Array(batch);
  const queryColumn = labelled.map(({ token, row }, i) => {
    tokenLabelled[token] = i;
    const next = taken[row] as number;
    taken[row] = next + 1;
    return next;
  });
  const queryTime = Math.max(...taken);
  const grid = new Int32Array(batch * queryTime).fill(-1);
  // Filler queries stand at position 0, where one key is always visible.
  const positions = new Int32Array(batch * queryTime);
  labelled.forEach(({ row, column }, i) => {
    const cell = row * queryTime + (queryColumn[i] as number);
    grid[cell] = i;
    positions[cell] = column;
  });
  const vector = (values: readonly number[]) => tensor("int32", [values.length], values);
  return {
    labelledTokens: vector(labelled.map(({ token }) => token)),
    tokenLabelled: tensor("int32", [tokens], tokenLabelled),
    queryGrid: tensor("int32", [batch, queryTime], grid),
    queryPositions: tensor("int32", [batch, queryTime], positions),
    queryRow: vector(labelled.map(({ row }) => row)),
    queryColumn: vector(queryColumn),
  };
}

function packLoss(labelled: readonly Labelled[], chunks: number) {
  const count = labelled.length;
  const shape = [chunks, Math.ceil(count / chunks)];
  const filled = (value: (i: number) => number, filler: number) =>
    Array.from({ length: sizeOf(shape) }, (_, i) => (i < count ? value(i) : filler));
  return {
    lossRows: tensor(
      "int32",
      shape,
      filled((i) => i, -1),
    ),
    labelledLossRow: tensor("int32", [count], filled((i) => i, 0).slice(0, count)),
    labels: tensor(
      "int32",
      shape,
      filled((i) => (labelled[i] as Labelled).label, 0),
    ),
    lossWeights: tensor(
      "float32",
      shape,
      filled((i) => (labelled[i] as Labelled).weight, 0),
    ),
  };
}

/** A batch inside a program. Integers are int32. */
export interface Batch {
  /** `[tokens]` */
  readonly inputIds: Tensor;
  /** Tokens in `[batch, time]`; `column` is also a token's position. */
  readonly layout: Layout;
  /** `[labelled]`: the token of each labelled row. */
  readonly labelledTokens: Tensor;
  /** `[tokens]`: the labelled row of each token, or -1. */
  readonly tokenLabelled: Tensor;
  /** Labelled rows in `[batch, queryTime]`. */
  readonly queries: Layout;
  /** `[batch, queryTime]`: position of each query in its row. */
  readonly queryPositions: Tensor;
  /** `[chunks * lossChunk]`: the labelled row of each row of the loss, -1 for filler. */
  readonly lossRows: Tensor;
  /** `[labelled]`: the way back. */
  readonly labelledLossRow: Tensor;
  /** `[chunks * lossChunk]` */
  readonly labels: Tensor;
  /** float `[chunks * lossChunk]`, 0 for filler. */
  readonly lossWeights: Tensor;
}

/** Finds a batch's fields among the arguments of a program. */
export function batchOf(name: string, inputs: Tree): Batch {
  const field = (what: string) => weight(inputs, `${name}.${what}`);
  const flat = (what: string) => ops.reshape(field(what), [-1]);
  return {
    inputIds: field("inputIds"),
    layout: { grid: field("grid"), row: field("row"), column: field("column") },
    labelledTokens: field("labelledTokens"),
    tokenLabelled: field("tokenLabelled"),
    queries: { grid: field("queryGrid"), row: field("queryRow"), column: field("queryColumn") },
    queryPositions: field("queryPositions"),
    lossRows: flat("lossRows"),
    labelledLossRow: field("labelledLossRow"),
    labels: flat("labels"),
    lossWeights: flat("lossWeights"),
  };
}

/** Causal attention among the tokens of a batch, through the padded grid. */
function attendWithin(model: Model, batch: Batch, queries: Layout, mask: Tensor, recompute = false) {
  const scale = 1 / Math.sqrt(model.headDim);
  return (_layer: number, q: Tensor, k: Tensor, v: Tensor): Tensor => {
    const [Q, K, V] = [
      unpack(q, queries, model.heads),
      unpack(k, batch.layout, model.kvHeads),
      unpack(v, batch.layout, model.kvHeads),
    ];
    return pack(attention(Q, K, V, mask, scale, recompute), queries);
  };
}

/** Final hidden states of every token of the batch: `[tokens, hidden]`; `watch` looks on or takes part, see `Forward`. */
export function hiddenStates(
  model: Model,
  params: Tree,
  batch: Batch,
  loraScale: number,
  watch: Pick<Forward, "tap" | "observe"> = {},
): Tensor {
  const time = batch.layout.grid.dim(1);
  const dtype = weight(params, model.head).dtype;
  const mask = causalMask(ops.reshape(ops.range(time), [time, 1]), time, dtype);
  const attend = attendWithin(model, batch, batch.layout, mask);
  return model.hidden({
    params,
    loraScale,
    inputIds: batch.inputIds,
    positions: batch.layout.column,
    attend,
    ...watch,
  });
}

/** Final hidden states of the tokens whose successor is labelled: `[labelled, hidden]`. */
export function labelledStates(
  model: Model,
  params: Tree,
  batch: Batch,
  { loraScale, recompute = false, tap }: Omit<LossOptions, "chunks" | "weigh" | "padded">,
): Tensor {
  const [rows, queryTime] = [batch.queryPositions.dim(0), batch.queryPositions.dim(1)];
  const time = batch.layout.grid.dim(1);
  const dtype = weight(params, model.head).dtype;
  const full = causalMask(ops.reshape(ops.range(time), [time, 1]), time, dtype);
  const selected = causalMask(ops.reshape(batch.queryPositions, [rows, 1, queryTime, 1]), time, dtype);
  const column = ops.reshape(batch.layout.column, [batch.layout.column.dim(0), 1]);
  return model.hidden({
    params,
    loraScale,
    recompute,
    inputIds: batch.inputIds,
    positions: batch.layout.column,
    attend: attendWithin(model, batch, batch.layout, full, recompute),
    ...(tap === undefined ? {} : { tap }),
    select: {
      rows: (x) => ops.moveRows(x, batch.labelledTokens, batch.tokenLabelled, { padded: false, inversePadded: true }),
      positions: ops.reshape(ops.gather(column, batch.labelledTokens), batch.labelledTokens.shape),
      attend: attendWithin(model, batch, batch.queries, selected, recompute),
    },
  });
}

/**
 * Mean next-token cross-entropy over the labelled tokens of a batch; a scalar.
 * Source: Hugging Face's causal language model loss, to which it is equal.
 */
export function tokenLoss(model: Model, params: Tree, batch: Batch, options: LossOptions): Tensor {
  const { chunks, weigh, padded } = options;
  const hidden =
    padded === undefined
      ? labelledStates(model, params, batch, options)
      : ops.gather(paddedStates(model, params, padded, options), labelledCells(batch));
  const rows = ops.moveRows(hidden, batch.lossRows, batch.labelledLossRow, { padded: true, inversePadded: false });
  const shares = ops.cast(batch.lossWeights, rows.dtype);
  const weights =
    weigh === undefined
      ? shares
      : (logProbability: Tensor) => ops.mul(weigh({ logProbability, shares, ...placesOf(batch) }), ops.sign(shares));
  return linearCrossEntropy(rows, weight(params, model.head), batch.labels, weights, chunks);
}

/** Places of the labelled tokens in the padded batch, row by row: int32 `[labelled]`. */
function labelledCells({ layout, labelledTokens }: Batch): Tensor {
  const [row, column] = [ops.gather(layout.row, labelledTokens), ops.gather(layout.column, labelledTokens)];
  return ops.add(ops.mul(row, ops.dimSize(layout.grid.dim(1), "int32")), column);
}

/** Where the labelled tokens of the loss stand; all are of the loss's length, filler rows included. */
export interface LabelledTokens {
  /** Under the present weights; a constant for the gradient. */
  readonly logProbability: Tensor;
  /** 1 / number of labelled tokens, 0 for filler. */
  readonly shares: Tensor;
  /** int32, row of the batch. */
  readonly row: Tensor;
  /** int32, place among the labelled tokens of its row, from 0. */
  readonly place: Tensor;
  /** Labelled tokens of its row. */
  readonly rowLength: Tensor;
}

/** From the labelled tokens of a batch their weights in the loss; what filler is given does not count. */
export type Weigh = (tokens: LabelledTokens) => Tensor;

function placesOf({ queries, lossRows }: Batch): Omit<LabelledTokens, "logProbability" | "shares"> {
  const at = ops.maximum(lossRows, 0);
  const ones = ops.expand(ops.constant(1, "float32"), queries.row.shape);
  const lengths = ops.scatterAdd(ones, queries.row, queries.grid.dim(0));
  return {
    row: ops.gather(queries.row, at),
    place: ops.gather(queries.column, at),
    rowLength: ops.gather(ops.gather(lengths, queries.row), at),
  };
}

export interface LossOptions {
  /** LoRA's alpha / rank. */
  readonly loraScale: number;
  /** Parts of the fused head and loss: more parts, less memory. */
  readonly chunks: number;
  /** Compute in the backward pass again what is cheap to compute and large to keep. Default false. */
  readonly recompute?: boolean;
  /** Sees, and may replace, what modules put out. */
  readonly tap?: Forward["tap"];
  /** Weights of the labelled tokens in place of 1 / their number. */
  readonly weigh?: Weigh;
  /** The same batch with its padding: every position of it is computed, in the last layer too, and `tap` sees `[batch * time, hidden]`. */
  readonly padded?: PaddedBatch;
}
