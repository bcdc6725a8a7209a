import { ops, product, quotient, type Tensor } from "../autodiff/index.ts";
import { softCap } from "./soft-cap.ts";

const { add, concat, customGradient, gather, log, matmul, maximum, mul, neg, reshape, slice, softmax, sub, sum, take } =
  ops;

/** Smallest normal float32: below it a probability loses its digits, so a token's loss saturates near 87 nats. */
const TINY = 1.2e-38;

const concatRows = (pieces: readonly Tensor[]): Tensor =>
  reshape(
    concat(
      pieces.map((x) => reshape(x, [1, x.dim(0)])),
      0,
    ),
    [product(pieces.length, pieces[0]?.dim(0) ?? 0)],
  );

/**
 * `sum over rows of weight[row] * -log softmax(hidden W')[label[row]]`, without ever holding all logits. With `softcap` the logits are
 * `softcap tanh(hidden W' / softcap)`, and the gradient of a logit z is multiplied by `1 - (z / softcap)^2`.
 *
 * hidden `[rows, width]`, W `[vocabulary, width]`, labels int32 `[rows]`, weights `[rows]` (1 / count for a mean, 0 for
 * filler rows), or a function of the rows' log-probabilities `[rows]`, then constants for the gradient. `rows` is split
 * into `chunks` equal parts. Each part computes p = softmax(logits) once and uses it twice: for its share of the loss and
 * for `d hidden = weight * (p W - W[label])`, so that two `[rows / chunks, vocabulary]` buffers are all that the
 * vocabulary costs, in both passes together. Weights that are a function keep every part's p until all are known.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  W: Tensor,
  labels: Tensor,
  weights: Tensor | ((logProbabilities: Tensor) => Tensor),
  chunks: number,
  softcap?: number,
): Tensor {
  const rows = quotient(hidden.dim(0), chunks);
  const width = hidden.dim(1);
  const part = (x: Tensor, i: number) =>
    reshape(slice(reshape(x, [chunks, rows, ...x.shape.slice(1)]), 0, i, i + 1), [rows, ...x.shape.slice(1)]);
  const indices = Array.from({ length: chunks }, (_, i) => i);
  const predict = (i: number) => {
    const [h, label] = [part(hidden, i), part(labels, i)];
    const { value: logits, slope } = softCap(matmul(h, W, { transB: true }), softcap);
    const p = softmax(logits);
    return { h, label, p, slope, logProbability: log(maximum(take(p, label), TINY)) };
  };
  // Weights that depend on the predictions wait for all of them; otherwise a part is done with before the next one begins.
  const predicted = typeof weights === "function" ? indices.map(predict) : [];
  const all =
    typeof weights === "function" ? weights(concatRows(predicted.map((piece) => piece.logProbability))) : weights;
  const pieces = indices.map((i) => {
    const { h, label, p, slope, logProbability } = predicted[i] ?? predict(i);
    const weight = part(all, i);
    const loss = sum(mul(weight, neg(logProbability)));
    const column = reshape(weight, [rows, 1]);
    const weighted = mul(h, column);
    const sloped = mul(p, slope);
    const slopeThere = slope === 1 ? slope : reshape(take(slope, label), [rows, 1]);
    return {
      loss,
      dh: mul(column, sub(matmul(sloped, W), mul(gather(W, label), slopeThere))),
      // The one-hot part of the gradient is a scatter: exactly what the gradient of `gather` is.
      dW: sub(matmul(sloped, weighted, { transA: true }), ops.scatterAdd(mul(weighted, slopeThere), label, W.dim(0))),
    };
  });
  const total = (parts: readonly Tensor[]) => parts.reduce((a, b) => add(a, b));
  const dHidden = () => {
    const rowsOf = pieces.map(({ dh }) => reshape(dh, [1, rows, width]));
    return reshape(concat(rowsOf, 0), hidden.shape);
  };
  return customGradient([hidden, W], total(pieces.map(({ loss }) => loss)), (g) => [
    () => mul(g, dHidden()),
    () => mul(g, total(pieces.map(({ dW }) => dW))),
  ]);
}
