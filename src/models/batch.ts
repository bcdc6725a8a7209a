import { dim, type ops, type Tensor } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { IGNORE } from "../formats/labels.ts";
import type { Mapped } from "../runtime/index.ts";
import { type HostTensor, sizeOf, tensor } from "../tensor/tensor.ts";
import { indexed, indexTypes, int32, type Packing, packRows, type Rows, rowsOf, rowTypes } from "./rows.ts";

/** One example: token ids and what is learned of them; -100 marks tokens that are only read. */
export interface Example {
  readonly inputIds: ArrayLike<number>;
  readonly labels: ArrayLike<number>;
  /** Whether its answer is safe, of data that say so: pairs of answers. */
  readonly safe?: boolean;
}

/** Rows and what is learned of them. */
export interface Batch extends Rows {
  /** From labelled tokens to the rows of the loss, `[chunks, lossChunk]`: filler at the end. */
  readonly loss: ops.Index;
  /** `[chunks, lossChunk]` */
  readonly labels: Tensor;
  /** float `[chunks, lossChunk]`: weight of each in the loss, 0 for filler. */
  readonly shares: Tensor;
  /** `[chunks, lossChunk]`: the row of each. */
  readonly row: Tensor;
  /** `[chunks, lossChunk]`: its place among the labelled tokens of its row. */
  readonly rank: Tensor;
  /** `[batch]`: labelled tokens of each row. */
  readonly rowLengths: Tensor;
}

/** `rowTypes` of rows of which something is learned, in `chunks` parts. */
export function batchTypes(name: string, chunks: number) {
  const loss = [chunks, dim(`${name}.lossChunk`)];
  const each = int32(...loss);
  return {
    ...rowTypes(name),
    loss: indexTypes(loss, dim(`${name}.labelled`)),
    labels: each,
    shares: { dtype: "float32" as const, shape: loss },
    row: each,
    rank: each,
    rowLengths: int32(dim(`${name}.batch`)),
  };
}

type BatchTypes = ReturnType<typeof batchTypes>;

/** A batch among a program's arguments. */
export const batchOf = (given: Mapped<BatchTypes, Tensor>): Batch => ({
  ...given,
  ...rowsOf(given),
  loss: { ...given.loss, padded: true, partial: false },
});

export interface BatchPacking extends Packing {
  /** The loss is computed in this many equal parts; filler rows have weight 0. */
  readonly chunks: number;
  /** Divisor of the loss where the batch is part of a bigger one; then it may lack labels of its own. */
  readonly totalLabelled?: number;
}

/**
 * Examples as `packRows` packs them, by default with what they share once and short ones in one line: only tokens whose successor is
 * labelled reach the last layer's queries and the loss.
 *
 * @throws {BoosterError} `NO_TRAINED_TOKENS` when no token of the batch is labelled.
 */
export function packBatch(
  examples: readonly Example[],
  { chunks, totalLabelled, share = true, join = true }: BatchPacking,
): Mapped<BatchTypes, HostTensor> {
  // An empty part of a bigger batch still runs: one token, weight 0.
  const rows = (examples.length > 0 ? examples : [{ inputIds: [0], labels: [IGNORE] }]).map(({ inputIds, labels }) => {
    const asked: number[] = [];
    for (let t = 0; t + 1 < inputIds.length; t++) if (labels[t + 1] !== IGNORE) asked.push(t);
    return { ids: inputIds, labels, asked };
  });
  const found = rows.flatMap(({ labels, asked }, row) =>
    asked.map((t, rank) => ({ label: labels[t + 1] as number, row, rank })),
  );
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
  const each = (value: (of: (typeof found)[number]) => number) =>
    tensor(
      "int32",
      shape,
      filled((i) => found[i] && value(found[i]), 0),
    );
  const weight = 1 / (totalLabelled ?? found.length);
  return {
    ...packRows(rows, { share, join }),
    loss: indexed(
      shape,
      filled((i) => i, -1),
      Array.from({ length: count }, (_, i) => i),
    ),
    labels: each(({ label }) => label),
    shares: tensor(
      "float32",
      shape,
      filled((i) => (i < found.length ? weight : 0), 0),
    ),
    row: each(({ row }) => row),
    rank: each(({ rank }) => rank),
    rowLengths: tensor(
      "int32",
      [rows.length],
      rows.map(({ asked }) => asked.length),
    ),
  };
}
