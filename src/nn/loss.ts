import { ops, product, quotient, type Tensor } from "../autodiff/index.ts";

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
 * `sum over rows of weight[row] * -log softmax(hidden W')[label[row]]`, without ever holding all logits.
 *
 * hidden `[rows, width]`, W `[vocabulary, width]`, labels int32 `[rows]`, weights `[rows]` (1 / count for a mean, 0 for
 * filler rows), or a function of the rows' log-probabilities `[rows]`, then constants for the gradient. `rows` is split into `chunks` equal parts. Each part computes p = softmax(logits) once and uses it
 * twice: for its share of the loss and for `d hidden = weight * (p W - W[label])`, so that two
 * `[rows / chunks, vocabulary]` buffers are all that the vocabulary costs, in both passes together.
 */
export function linearCrossEntropy(
  hidden: Tensor,
  W: Tensor,
  labels: Tensor,
  weights: Tensor | ((logProbabilities: Tensor) => Tensor),
  chunks: number,
): Tensor {
  const rows = quotient(hidden.dim(0), chunks);
  const width = hidden.dim(1);
  const part = (x: Tensor, i: number) =>
    reshape(slice(reshape(x, [chunks, rows, ...x.shape.slice(1)]), 0, i, i + 1), [rows, ...x.shape.slice(1)]);
  const parts = Array.from({ length: chunks }, (_, i) => {
    const [h, label] = [part(hidden, i), part(labels, i)];
    const p = softmax(matmul(h, W, { transB: true }));
    return { h, label, p, logProbability: log(maximum(take(p, label), TINY)) };
  });
  const all = typeof weights === "function" ? weights(concatRows(parts.map((piece) => piece.logProbability))) : weights;
  const pieces = parts.map(({ h, label, p, logProbability }, i) => {
    const weight = part(all, i);
    const loss = sum(mul(weight, neg(logProbability)));
    const column = reshape(weight, [rows, 1]);
    return { h, label, column, p, loss, dh: mul(column, sub(matmul(p, W), gather(W, label))) };
  });
  const loss = pieces.map((piece) => piece.loss).reduce((a, b) => add(a, b));
  return customGradient([hidden, W], loss, (g) => [
    () =>
      mul(
        g,
        reshape(
          concat(
            pieces.map(({ dh }) => reshape(dh, [1, rows, width])),
            0,
          ),
          hidden.shape,
        ),
      ),
    () =>
      pieces
        .map(({ h, label, column, p }) => {
          const weighted = mul(h, mul(column, g));
          // The one-hot part of the gradient is a scatter: exactly what the gradient of `gather` is.
          return sub(matmul(p, weighted, { transA: true }), ops.scatterAdd(weighted, label, W.dim(0)));
        })
        .reduce((a, b) => add(a, b)),
  ]);
}
