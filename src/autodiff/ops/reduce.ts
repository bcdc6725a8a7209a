import { axisOf, type Shape, sameDim, sameShape, shapeSize } from "../dim.ts";
import { defineOp, type Emitter, type Rule, type Tensor } from "../tensor.ts";
import { cast, equal } from "./compare.ts";
import { dimSize } from "./constant.ts";
import { div, mul } from "./elementwise.ts";
import { expand, reshape } from "./shape.ts";

interface Axes {
  /** Sorted, not negative. */
  readonly axes: readonly number[];
}

/** Reduced axes stay as size 1, so that a gradient broadcasts back; `squeeze` drops them. */
const keepDims = (shape: Shape, axes: readonly number[]): Shape => shape.map((d, i) => (axes.includes(i) ? 1 : d));

const samples: Rule<Axes, readonly [Tensor]>["samples"] = (draw) => {
  const shape = draw.shape(3);
  return [
    { inputs: [{ shape }], attrs: { axes: [draw.integer(0, 2)] } },
    { inputs: [{ shape }], attrs: { axes: [0, 2] } },
    { inputs: [{ shape }], attrs: { axes: [0, 1, 2] } },
  ];
};

const lowerReduce =
  (onnx: string) =>
  (emit: Emitter, names: readonly string[], axes: readonly number[]): string =>
    emit.node(onnx, [...names, emit.constant("int64", [axes.length], axes)], { keepdims: 1 });

const sumOp = defineOp<Axes, readonly [Tensor]>({
  name: "sum",
  type: ([x], { axes }) => ({ dtype: x.dtype, shape: keepDims(x.shape, axes) }),
  gradient: ({ inputs: [x], cotangent }) => [() => expand(cotangent, x.shape)],
  lower: (emit, { names, attrs }) => lowerReduce("ReduceSum")(emit, names, attrs.axes),
  samples,
});

const maxOp = defineOp<Axes, readonly [Tensor]>({
  name: "max",
  type: ([x], { axes }) => ({ dtype: x.dtype, shape: keepDims(x.shape, axes) }),
  // Ties share the cotangent equally.
  gradient: ({ inputs: [x], output, cotangent, attrs }) => [
    () => {
      const hit = cast(equal(x, output), x.dtype);
      return mul(hit, div(cotangent, sumOp([hit], attrs)));
    },
  ],
  lower: (emit, { names, attrs }) => lowerReduce("ReduceMax")(emit, names, attrs.axes),
  samples,
});

const argmaxOp = defineOp<null, readonly [Tensor]>({
  name: "argmax",
  type: ([x]) => ({ dtype: "int32", shape: x.shape.slice(0, -1) }),
  lower(emit, { names }) {
    const index = emit.node("ArgMax", names, { axis: -1, keepdims: 0 });
    return emit.node("Cast", [index], { to: 6 });
  },
  samples: (draw) => [{ inputs: [{ shape: draw.shape(2) }], attrs: null }],
});

interface ReduceOptions {
  /** Default: every axis. Negative axes count from the end. */
  readonly axes?: readonly number[];
  /** Keep reduced axes as size 1. Default false. */
  readonly keepDims?: boolean;
}

function reduce(op: typeof sumOp, name: string, x: Tensor, options: ReduceOptions): Tensor {
  const requested = options.axes?.map((axis) => axisOf(axis, x.rank, name)) ?? x.shape.map((_, i) => i);
  const axes = [...new Set(requested)].sort((a, b) => a - b);
  if (axes.length === 0) return x;
  const kept = op([x], { axes });
  if (options.keepDims) return kept;
  return reshape(
    kept,
    x.shape.filter((_, i) => !axes.includes(i)),
  );
}

/** Sum over axes. */
export const sum = (x: Tensor, options: ReduceOptions = {}): Tensor => reduce(sumOp, "sum", x, options);
/** Largest element over axes. */
export const max = (x: Tensor, options: ReduceOptions = {}): Tensor => reduce(maxOp, "max", x, options);
/** Mean over axes; a symbolic size is read when the program runs. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const axes = options.axes?.map((axis) => axisOf(axis, x.rank, "mean")) ?? x.shape.map((_, i) => i);
  const count = dimSize(shapeSize(axes.map((axis) => x.dim(axis))), x.dtype);
  return div(sum(x, options), count);
}
/** Index of the largest element of the last axis: int32. */
export const argmax = (x: Tensor): Tensor => argmaxOp([x], null);

/** Sums a broadcast result back to the shape it came from: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < lead || !sameDim(x.dim(i), shape[i - lead] ?? 1));
  return reshape(sum(x, { axes, keepDims: true }), shape);
}

export const REDUCE_OPS = [sumOp.op, maxOp.op, argmaxOp.op];
