import { expect, test } from "vitest";
import { lower, ops, type Tensor, valueAndGrad } from "../autodiff/index.ts";
import { linearCrossEntropy } from "./loss.ts";

/** Most outputs of nodes of a type that are needed at the same time, in the order in which the nodes run. */
function mostAlive(type: string, weights: (logProbabilities: Tensor) => Tensor, asFunction: boolean): number {
  const labels = ops.input("labels", "int32", [12]);
  const hidden = ops.input("hidden", "float32", [12, 6]);
  const shares = ops.input("shares", "float32", [12]);
  const W = ops.input("W", "float32", [50, 6]);
  const { value, grad } = valueAndGrad(({ h, w }) =>
    linearCrossEntropy(h as Tensor, w as Tensor, labels, asFunction ? weights : weights(shares), 4),
  )({ h: hidden, w: W });
  const { nodes } = lower({ value, dHidden: grad.h as Tensor, dW: grad.w as Tensor }, "cpu");
  const lives = nodes.flatMap((node, born) =>
    node.type === type
      ? [{ born, last: nodes.findLastIndex(({ inputs }) => inputs.some((name) => node.outputs.includes(name))) }]
      : [],
  );
  return Math.max(...lives.map(({ born }) => lives.filter((life) => life.born <= born && born < life.last).length));
}

test("the probabilities of one part alone are held at a time, unless the weights depend on all of them", () => {
  expect(mostAlive("Softmax", (shares) => shares, false)).toBe(1);
  expect(mostAlive("Softmax", (logProbabilities) => ops.neg(logProbabilities), true)).toBe(4);
});
