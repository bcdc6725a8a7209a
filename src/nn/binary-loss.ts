import { ops, type Tensor } from "../autodiff/index.ts";
import { tensor } from "../tensor/tensor.ts";

const {
  abs,
  add,
  cast,
  constantTensor,
  customGradient,
  div,
  exp,
  log,
  matmul,
  maximum,
  mul,
  reshape,
  sigmoid,
  sub,
  sum,
} = ops;

/** Labels that marks have room for: the bits of an int32 without its sign. */
export const MOST_LABELS = 31;

/** Marks of a row as one number: bit j is set where label j holds. */
export const marksOf = (holds: readonly boolean[]): number =>
  holds.reduce((marks, holding, label) => marks + (holding ? 2 ** label : 0), 0);

/** int32 `[rows]` to 0 or 1 `[rows, labels]`. */
function bits(marks: Tensor, labels: number, like: Tensor): Tensor {
  const powers = Array.from({ length: labels }, (_, label) => 2 ** label);
  const shifted = div(reshape(marks, [-1, 1]), constantTensor(tensor("int32", [1, labels], powers)));
  return cast(sub(shifted, mul(div(shifted, 2), 2)), like.dtype);
}

/**
 * `sum over rows of weight[row] * mean over labels of -log sigmoid(±z)`, z = hidden W', with + where the label holds.
 *
 * hidden `[rows, width]`, W `[labels, width]`, marks int32 `[rows]` (see `marksOf`), weights `[rows]`: 1 / rows for the mean.
 * Source: PyTorch's `BCEWithLogitsLoss`, which Hugging Face's classifiers take for `multi_label_classification`.
 */
export function linearBinaryCrossEntropy(hidden: Tensor, W: Tensor, marks: Tensor, weights: Tensor): Tensor {
  const labels = W.dim(0) as number;
  const z = matmul(hidden, W, { transB: true });
  const y = bits(marks, labels, z);
  // Finite for logits of any size; its own derivative is not, at 0.
  const value = add(sub(maximum(z, 0), mul(z, y)), log(add(exp(mul(abs(z), -1)), 1)));
  const each = customGradient([z], value, (g) => [() => mul(g, sub(sigmoid(z), y))]);
  return sum(mul(each, mul(reshape(weights, [-1, 1]), 1 / labels)));
}
