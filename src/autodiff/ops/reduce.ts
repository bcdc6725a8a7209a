import { shapeSize } from "../dim.ts";
import { defineOp, type Tensor } from "../tensor.ts";
import { type ReduceOptions, reduce, reducedAxes, reduction, sum } from "./broadcast.ts";
import { cast, equal } from "./compare.ts";
import { dimSize } from "./constant.ts";
import { div, mul } from "./elementwise.ts";

// Ties share the cotangent equally.
const maxOp = reduction("max", "ReduceMax", ({ inputs: [x], output, cotangent, attrs: { axes } }) => [
  () => {
    const hit = cast(equal(x, output), x.dtype);
    return mul(hit, div(cotangent, sum(hit, { axes, keepDims: true })));
  },
]);

const argmaxOp = defineOp<null, readonly [Tensor]>({
  name: "argmax",
  type: ([x]) => ({ dtype: "int32", shape: x.shape.slice(0, -1) }),
  lower(emit, { names }) {
    const index = emit.node("ArgMax", names, { axis: -1, keepdims: 0 });
    return emit.node("Cast", [index], { to: 6 });
  },
  samples: (draw) => [{ inputs: [{ shape: draw.shape(2) }], attrs: null }],
});

/** Largest element over axes. */
export const max = (x: Tensor, options: ReduceOptions = {}): Tensor => reduce(maxOp, x, options);
/** Mean over axes; a symbolic size is read when the program runs. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const count = dimSize(shapeSize(reducedAxes("mean", x, options).map((axis) => x.dim(axis))), x.dtype);
  return div(sum(x, options), count);
}
/** Index of the largest element of the last axis: int32. */
export const argmax = (x: Tensor): Tensor => argmaxOp([x], null);

export const REDUCE_OPS = [maxOp.op, argmaxOp.op];
