import { dim, ops, product, type Shape, type Tensor, type TensorType, type Tree } from "../../autodiff/index.ts";
import { type Example, IGNORE, type PaddedBatch } from "../../models/index.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";

/** Which tokens of a batch RepNoise looks at. Cells are places in the padded batch, row by row. */
export interface Tokens {
  /** int32 `[rows, columns]`: the cells whose hidden states become noise. */
  readonly cells: Tensor;
  /** `[rows, columns]`: 1 where they do, 0 where they are left out. */
  readonly mask: Tensor;
  /** int32 `[targets]`: the cells from which a token is predicted, those tokens, and their weights in the mean. */
  readonly targets: Tensor;
  readonly labels: Tensor;
  readonly shares: Tensor;
  /** `[targets]`: what the hidden states are multiplied by. */
  readonly factor?: Tensor;
}

/** Rows and columns of the cells that are looked at. */
export const gridOf = (name: string): Shape => [dim(`${name}.cells.rows`), dim(`${name}.cells.columns`)];

/** Arguments that say where the tokens stand, under the batch's name. */
export const tokenInputs = (name: string): Record<string, TensorType> => ({
  [`${name}.cells`]: { dtype: "int32", shape: gridOf(name) },
  [`${name}.opposite`]: { dtype: "int32", shape: gridOf(name) },
  [`${name}.targets`]: { dtype: "int32", shape: [dim(`${name}.targets.count`)] },
});

const timeOf = (examples: readonly Example[]) => Math.max(...examples.map(({ inputIds }) => inputIds.length));

/** Indices for `answerTokens`: columns in which some row has a label, and the cells before labels. */
export function placeAnswers(name: string, examples: readonly Example[]): Record<string, HostTensor> {
  const time = timeOf(examples);
  const isLabelled = ({ labels }: Example, t: number) => t < labels.length && labels[t] !== IGNORE;
  const all = Array.from({ length: time }, (_, t) => t);
  const columns = all.filter((t) => examples.some((example) => isLabelled(example, t)));
  const targets = examples.flatMap((example, row) =>
    all.slice(1).flatMap((t) => (isLabelled(example, t) ? [row * time + t - 1] : [])),
  );
  return {
    [`${name}.cells`]: tensor(
      "int32",
      [examples.length, columns.length],
      examples.flatMap((_, row) => columns.map((t) => row * time + t)),
    ),
    [`${name}.targets`]: tensor("int32", [targets.length], targets),
  };
}

/** The answers: labelled tokens, whatever the prompts are. */
export function answerTokens(name: string, inputs: Tree, { ids, labels }: PaddedBatch, dtype: Tensor["dtype"]): Tokens {
  const [cells, targets] = [inputs[`${name}.cells`], inputs[`${name}.targets`]] as [Tensor, Tensor];
  const learned = ops.gather(flat(labels), cells);
  const share = ops.reciprocal(ops.dimSize(targets.dim(0), dtype));
  return {
    cells,
    mask: oneUnless(ops.equal(learned, IGNORE), dtype),
    targets,
    labels: ops.gather(flat(ids), ops.add(targets, 1)),
    shares: ops.expand(share, targets.shape),
  };
}

/** Indices for `differingTokens`: every cell, its counterpart in the other batch or -1, and all but the last column. */
export function placeAll(
  name: string,
  examples: readonly Example[],
  other: readonly Example[],
): Record<string, HostTensor> {
  const [time, otherTime] = [timeOf(examples), timeOf(other)];
  const shape = [examples.length, time];
  const places = Array.from({ length: examples.length * time }, (_, cell) => [Math.floor(cell / time), cell % time]);
  const opposite = places.map(([row = 0, t = 0]) => (row < other.length && t < otherTime ? row * otherTime + t : -1));
  const cells = places.map((_, cell) => cell);
  const targets = cells.filter((cell) => cell % time < time - 1);
  return {
    [`${name}.cells`]: tensor("int32", shape, cells),
    [`${name}.opposite`]: tensor("int32", shape, opposite),
    [`${name}.targets`]: tensor("int32", [targets.length], targets),
  };
}

/**
 * As in the authors' code: tokens that differ from those at the same place of the other batch, which is cut, or filled
 * with 0, to the same shape. Padding that stands opposite to a token differs too. A token is predicted where it differs and
 * is not 0, from hidden states that are 0 where the token before it does not differ.
 */
export function differingTokens(
  name: string,
  inputs: Tree,
  { ids }: PaddedBatch,
  other: PaddedBatch,
  dtype: Tensor["dtype"],
): Tokens {
  const [cells, targets] = [inputs[`${name}.cells`], inputs[`${name}.targets`]] as [Tensor, Tensor];
  const opposite = inputs[`${name}.opposite`] as Tensor;
  const counterpart = ops.where(ops.less(opposite, 0), 0, ops.gather(flat(other.ids), ops.maximum(opposite, 0)));
  const mask = oneUnless(ops.equal(ops.gather(flat(ids), cells), counterpart), dtype);
  const next = ops.add(targets, 1);
  const labels = ops.gather(flat(ids), next);
  const counted = ops.mul(ops.gather(flat(mask), next), oneUnless(ops.equal(labels, 0), dtype));
  const shares = ops.div(counted, ops.maximum(ops.sum(counted), 1));
  return { cells, mask, targets, labels, shares, factor: ops.gather(flat(mask), targets) };
}

const flat = (x: Tensor): Tensor => ops.reshape(x, [product(...x.shape)]);
const oneUnless = (condition: Tensor, dtype: Tensor["dtype"]): Tensor =>
  ops.where(condition, ops.constant(0, dtype), 1);
