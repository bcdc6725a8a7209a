import { axisOf, broadcastShapes, type Shape, sameDim, sameShape, showShape } from "../dim.ts";
import { defineOp, type OpFunction, type Rule, shapeError, type Tensor, type TensorType } from "../tensor.ts";
import { reshape } from "./shape.ts";

/** The type of a result that two operands broadcast to. @throws {BoosterError} `SHAPE_MISMATCH` */
export function broadcastType(op: string, a: Tensor, b: Tensor): TensorType {
  const shape = broadcastShapes(a.shape, b.shape);
  if (shape === undefined || a.dtype !== b.dtype) throw shapeError(op, "one dtype, broadcastable shapes", [a, b]);
  return { dtype: a.dtype, shape };
}

interface Axes {
  /** Sorted, not negative. */
  readonly axes: readonly number[];
}

export interface ReduceOptions {
  /** Default: every axis. Negative axes count from the end. */
  readonly axes?: readonly number[];
  /** Keep reduced axes as size 1. Default false. */
  readonly keepDims?: boolean;
}

/** The axes that options name, sorted and not negative. */
export function reducedAxes(name: string, x: Tensor, { axes }: ReduceOptions): readonly number[] {
  const named = axes?.map((axis) => axisOf(axis, x.rank, name)) ?? x.shape.map((_, i) => i);
  return [...new Set(named)].sort((a, b) => a - b);
}

/** An op over axes, which stay as size 1, so that a gradient broadcasts back. */
export const reduction = (
  name: string,
  onnx: string,
  gradient: Required<Rule<Axes, readonly [Tensor]>>["gradient"],
): OpFunction<Axes> =>
  defineOp<Axes, readonly [Tensor]>({
    name,
    type: ([x], { axes }) => ({ dtype: x.dtype, shape: x.shape.map((d, i) => (axes.includes(i) ? 1 : d)) }),
    gradient,
    lower: (emit, { names, attrs: { axes } }) =>
      emit.node(onnx, [...names, emit.constant("int64", [axes.length], axes)], { keepdims: 1 }),
    samples(draw) {
      const shape = draw.shape(3);
      return [[draw.integer(0, 2)], [0, 2], [0, 1, 2]].map((axes) => ({ inputs: [{ shape }], attrs: { axes } }));
    },
  });

/** Applies a reduction as options say. */
export function reduce(op: OpFunction<Axes>, x: Tensor, options: ReduceOptions): Tensor {
  const axes = reducedAxes(op.op.name, x, options);
  if (axes.length === 0) return x;
  const kept = op([x], { axes });
  const left = () => x.shape.filter((_, i) => !axes.includes(i));
  return options.keepDims ? kept : reshape(kept, left());
}

// The gradient of a sum is an expand and the other way round: they are at home in one file.
const sumOp = reduction("sum", "ReduceSum", ({ inputs: [x], cotangent }) => [() => expand(cotangent, x.shape)]);

/** Sum over axes. */
export const sum = (x: Tensor, options: ReduceOptions = {}): Tensor => reduce(sumOp, x, options);

/** Sums a broadcast result back to the shape it came from: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.rank - shape.length;
  const axes = x.shape.map((_, i) => i).filter((i) => i < lead || !sameDim(x.dim(i), shape[i - lead] ?? 1));
  return reshape(sum(x, { axes, keepDims: true }), shape);
}

const expandOp = defineOp<{ shape: Shape }, readonly [Tensor]>({
  name: "expand",
  type([x], { shape }) {
    const result = broadcastShapes(x.shape, shape);
    if (result === undefined || !sameShape(result, shape)) {
      throw shapeError("expand", `a shape that broadcasts to ${showShape(shape)}`, [x]);
    }
    return { dtype: x.dtype, shape };
  },
  gradient: ({ inputs: [x], cotangent }) => [() => sumTo(cotangent, x.shape)],
  lower: (emit, { names: [x], attrs }) => emit.node("Expand", [x as string, emit.shape(attrs.shape)]),
  samples: (draw) => {
    const shape = draw.shape(2);
    return [
      { inputs: [{ shape: [1, shape[1] as number] }], attrs: { shape } },
      { inputs: [{ shape: [] }], attrs: { shape } },
    ];
  },
});

/** Broadcasts to a shape. */
export const expand = (x: Tensor, shape: Shape): Tensor => (sameShape(x.shape, shape) ? x : expandOp([x], { shape }));

export const BROADCAST_OPS = [sumOp.op, expandOp.op];
