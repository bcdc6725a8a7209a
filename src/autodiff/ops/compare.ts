import type { DType } from "../../tensor/tensor.ts";
import { broadcastShapes } from "../dim.ts";
import { defineOp, type OpFunction, shapeError, type Tensor } from "../tensor.ts";
import { broadcastType, sumTo } from "./broadcast.ts";
import { ONNX_TYPES, type Operand, pair } from "./constant.ts";

function comparison(name: string, onnx: string): OpFunction<null> {
  return defineOp<null, readonly [Tensor, Tensor]>({
    name,
    type: ([a, b]) => ({ dtype: "bool", shape: broadcastType(name, a, b).shape }),
    lower: (emit, { names }) => emit.node(onnx, names),
    samples: (draw) => {
      const shape = draw.shape();
      return [{ inputs: [{ shape }, { shape }], attrs: null }];
    },
  });
}

const lessOp = comparison("less", "Less");
const equalOp = comparison("equal", "Equal");

/** `a < b`, elementwise: bool. */
export const less = (a: Operand, b: Operand): Tensor => lessOp(pair(a, b), null);
/** `a == b`, elementwise: bool. */
export const equal = (a: Operand, b: Operand): Tensor => equalOp(pair(a, b), null);

const whereOp = defineOp<null, readonly [Tensor, Tensor, Tensor]>({
  name: "where",
  type([condition, a, b]) {
    const branches = broadcastShapes(a.shape, b.shape);
    const shape = branches && broadcastShapes(condition.shape, branches);
    if (shape === undefined || a.dtype !== b.dtype || condition.dtype !== "bool") {
      throw shapeError("where", "a bool condition and two branches of one dtype", [condition, a, b]);
    }
    return { dtype: a.dtype, shape };
  },
  gradient: ({ inputs: [condition, a, b], cotangent }) => [
    undefined,
    () => sumTo(where(condition, cotangent, 0), a.shape),
    () => sumTo(where(condition, 0, cotangent), b.shape),
  ],
  lower: (emit, { names }) => emit.node("Where", names),
  samples(draw) {
    const shape = draw.shape(2);
    const bool = Array.from({ length: shape.reduce((p, d) => p * d, 1) }, () => draw.integer(0, 1));
    return [
      { inputs: [{ shape, bool }, { shape }, { shape }], attrs: null },
      { inputs: [{ shape, bool }, { shape: [] }, { shape: shape.slice(1) }], attrs: null },
    ];
  },
});

/** `a` where the condition holds, `b` elsewhere; all three broadcast. */
export const where = (condition: Tensor, a: Operand, b: Operand): Tensor => whereOp([condition, ...pair(a, b)], null);

const castOp = defineOp<{ dtype: DType }, readonly [Tensor]>({
  name: "cast",
  type: ([x], { dtype }) => ({ dtype, shape: x.shape }),
  gradient: ({ inputs: [x], cotangent }) => [x.dtype.startsWith("float") ? () => cast(cotangent, x.dtype) : undefined],
  lower: (emit, { names, attrs }) => emit.node("Cast", names, { to: ONNX_TYPES[attrs.dtype] }),
  samples: (draw) => [{ inputs: [{ shape: draw.shape() }], attrs: { dtype: "float64" } }],
});

/** Converts the element type. */
export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : castOp([x], { dtype }));

export const COMPARE_OPS = [lessOp.op, equalOp.op, whereOp.op, castOp.op];
