import { ops, type Tensor } from "../autodiff/index.ts";
import { linearBinaryCrossEntropy, linearCrossEntropy } from "../nn/index.ts";
import type { Model } from "./architecture.ts";
import type { Batch } from "./batch.ts";
import type { PaddedBatch } from "./padded.ts";
import { labelledStates, paddedStates, type Watch } from "./states.ts";
import type { Weights } from "./weights.ts";

export interface LossOptions extends Omit<Watch, "observe"> {
  /** Parts of the fused head and loss: more parts, less memory. */
  readonly chunks: number;
  /** Weights of the labelled tokens in place of 1 / their number. */
  readonly weigh?: Weigh;
  /** The same batch with its padding: every position of it is computed, in the last layer too, and `tap` sees `[batch * time, hidden]`. */
  readonly padded?: PaddedBatch;
}

/**
 * Mean next-token cross-entropy over the labelled tokens of a batch; a scalar. With a head for classes the "successor" of a row's last token
 * is its class, so that it is the mean cross-entropy of the rows, or, where classes may hold together, their mean binary one.
 * Source: Hugging Face's causal language model loss and those of its classifiers, to which it is equal.
 */
export function tokenLoss(model: Model, weights: Weights, batch: Batch, options: LossOptions): Tensor {
  const { chunks, weigh, padded, ...watch } = options;
  const hidden =
    padded === undefined
      ? labelledStates(model, weights, batch, watch)
      : ops.gather(paddedStates(model, weights, padded, watch), ops.gather(batch.grid.back, batch.labelled.to));
  const rows = ops.reshape(ops.move(hidden, batch.loss), [-1, hidden.dim(1)]);
  const shares = ops.cast(flat(batch.shares), rows.dtype);
  if (model.marks) {
    return linearBinaryCrossEntropy(rows, weights.tensor(model.head), flat(batch.labels), shares);
  }
  const standing = { row: flat(batch.row), place: flat(batch.rank), rowLengths: batch.rowLengths };
  const given =
    weigh === undefined
      ? shares
      : (logProbability: Tensor) => ops.mul(weigh({ logProbability, shares, ...standing }), ops.sign(shares));
  return linearCrossEntropy(rows, weights.tensor(model.head, rows), flat(batch.labels), given, chunks, model.softcap);
}

/**
 * Which labelled tokens of a batch are the likeliest ones: 1 or 0 each, and 0 for filler. A part of them at a time has its logits in memory.
 *
 * @param chunks parts of the batch's loss
 */
export function labelledHits(model: Model, weights: Weights, batch: Batch, chunks: number): Tensor {
  const hidden = labelledStates(model, weights, batch);
  const rows = ops.reshape(ops.move(hidden, batch.loss), [chunks, -1, hidden.dim(1)]);
  const head = weights.tensor(model.head, rows);
  const [labels, shares] = [batch.labels, batch.shares].map((x) => ops.reshape(x, [chunks, -1])) as [Tensor, Tensor];
  const hits = Array.from({ length: chunks }, (_, i) => {
    const part = (x: Tensor) => ops.reshape(ops.slice(x, 0, i, i + 1), x.shape.slice(1));
    const likeliest = ops.argmax(ops.matmul(part(rows), head, { transB: true }));
    return ops.mul(ops.cast(ops.equal(likeliest, part(labels)), "float32"), ops.sign(part(shares)));
  });
  return hits.reduce((all, one) => ops.concat([all, one], 0));
}

const flat = (x: Tensor): Tensor => ops.reshape(x, [-1]);

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
  /** int32 `[batch]`: labelled tokens of each row. */
  readonly rowLengths: Tensor;
}

/** From the labelled tokens of a batch their weights in the loss; what filler is given does not count. */
export type Weigh = (tokens: LabelledTokens) => Tensor;
