import type { DType, HostTensor } from "../../tensor/tensor.ts";
import type { Dim, Shape } from "../dim.ts";

import { defineOp, type Tensor } from "../tensor.ts";

/** A tensor, or a number that takes the dtype of the tensor beside it. */
export type Operand = Tensor | number;

const constantOp = defineOp<{ dtype: DType; value: number }, readonly []>({
  name: "constant",
  type: (_, { dtype }) => ({ dtype, shape: [] }),
  lower: (emit, { attrs }) => emit.constant(attrs.dtype, [], [attrs.value]),
  samples: () => [{ inputs: [], attrs: { dtype: "float64", value: 2.5 } }],
});

/** A scalar that is known while tracing. */
export const constant = (value: number, dtype: DType = "float32"): Tensor => constantOp([], { dtype, value });

/** The value of a scalar constant, undefined for everything else. */
export const constantValue = (x: Tensor): number | undefined =>
  x.op === constantOp.op ? (x.attrs as { value: number }).value : undefined;

/** Two operands as tensors: a number becomes a constant of the other's dtype. */
export function pair(a: Operand, b: Operand): readonly [Tensor, Tensor] {
  const dtype = typeof a !== "number" ? a.dtype : typeof b !== "number" ? b.dtype : "float32";
  return [typeof a === "number" ? constant(a, dtype) : a, typeof b === "number" ? constant(b, dtype) : b];
}

const constantTensorOp = defineOp<{ dtype: DType; shape: readonly number[]; values: readonly number[] }, readonly []>({
  name: "constantTensor",
  type: (_, { dtype, shape }) => ({ dtype, shape }),
  lower: (emit, { attrs }) => emit.constant(attrs.dtype, attrs.shape, attrs.values),
  samples: () => [{ inputs: [], attrs: { dtype: "float64", shape: [3], values: [1, 2, 3] } }],
});

/** A small tensor that is part of the program itself, by default in its own dtype; weights are arguments instead. */
export const constantTensor = (host: HostTensor, dtype: DType = host.dtype): Tensor =>
  constantTensorOp([], { dtype, shape: host.shape, values: Array.from(host.data, Number) });

const inputOp = defineOp<{ name: string; dtype: DType; shape: Shape }, readonly []>({
  name: "input",
  type: (_, { dtype, shape }) => ({ dtype, shape }),
  lower: (_, { attrs }) => attrs.name,
  samples: () => [],
});

/** An argument of a program. */
export const input = (name: string, dtype: DType, shape: Shape): Tensor => inputOp([], { name, dtype, shape });

/** The name of a program argument, undefined for computed tensors. */
export const inputName = (x: Tensor): string | undefined =>
  x.op === inputOp.op ? (x.attrs as { name: string }).name : undefined;

const rangeOp = defineOp<{ size: Dim }, readonly []>({
  name: "range",
  type: (_, { size }) => ({ dtype: "int32", shape: [size] }),
  lower(emit, { attrs }) {
    if (typeof attrs.size === "number") {
      const values = Array.from({ length: attrs.size }, (_, i) => i);
      return emit.constant("int32", [attrs.size], values);
    }
    const limit = emit.node("Cast", [emit.dim(attrs.size)], { to: 6 });
    return emit.node("Range", [emit.constant("int32", [], [0]), limit, emit.constant("int32", [], [1])]);
  },
  samples: () => [{ inputs: [], attrs: { size: 5 } }],
});

/** The integers `0 .. size-1`: int32 `[size]`. */
export const range = (size: Dim): Tensor => rangeOp([], { size });

const dimSizeOp = defineOp<{ size: Dim; dtype: DType }, readonly []>({
  name: "dimSize",
  type: (_, { dtype }) => ({ dtype, shape: [] }),
  lower: (emit, { attrs }) => emit.node("Cast", [emit.dim(attrs.size)], { to: ONNX_TYPES[attrs.dtype] }),
  samples: () => [{ inputs: [], attrs: { size: 5, dtype: "float64" } }],
});

/** A dimension as a scalar of the given type; a constant where the size is known while tracing. */
export const dimSize = (size: Dim, dtype: DType): Tensor =>
  typeof size === "number" ? constant(size, dtype) : dimSizeOp([], { size, dtype });

/** Numbers of ONNX's `TensorProto.DataType`. */
export const ONNX_TYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

export const CONSTANT_OPS = [constantOp.op, constantTensorOp.op, rangeOp.op, dimSizeOp.op];
