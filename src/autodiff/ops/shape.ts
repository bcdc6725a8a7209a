import { BoosterError } from "../../errors.ts";
import {
  axisOf,
  type Dim,
  dim as namedDim,
  product,
  quotient,
  type Shape,
  sameDim,
  sameShape,
  shapeSize,
  showShape,
} from "../dim.ts";
import { defineOp, shapeError, type Tensor } from "../tensor.ts";

const reshapeOp = defineOp<{ shape: Shape }, readonly [Tensor]>({
  name: "reshape",
  type([x], { shape }) {
    if (!sameDim(shapeSize(x.shape), shapeSize(shape))) {
      throw shapeError("reshape", `as many elements as ${showShape(shape)}`, [x]);
    }
    return { dtype: x.dtype, shape };
  },
  gradient: ({ inputs: [x], cotangent }) => [() => reshape(cotangent, x.shape)],
  lower(emit, { names: [x], attrs: { shape } }) {
    // One unknown axis is ONNX's -1: no shape arithmetic when the program runs.
    const unknown = shape.filter((d) => typeof d !== "number").length;
    const target =
      unknown === 1 && !shape.includes(0)
        ? emit.constant(
            "int64",
            [shape.length],
            shape.map((d) => (typeof d === "number" ? d : -1)),
          )
        : emit.shape(shape);
    return emit.node("Reshape", [x as string, target]);
  },
  samples: (draw) => {
    const shape = draw.shape(3);
    return [{ inputs: [{ shape }], attrs: { shape: [shape.reduce((p, d) => p * d, 1)] } }];
  },
});

/**
 * The same elements under another shape. A `-1` is what is left over.
 *
 * @throws {BoosterError} `SHAPE_MISMATCH` when the sizes differ.
 */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.filter((d) => d !== -1);
  const full = shape.map((d) => (d === -1 ? quotient(shapeSize(x.shape), product(...known)) : d));
  return sameShape(x.shape, full) ? x : reshapeOp([x], { shape: full });
}

const transposeOp = defineOp<{ order: readonly number[] }, readonly [Tensor]>({
  name: "transpose",
  type([x], { order }) {
    if (order.length !== x.rank) throw shapeError("transpose", `a tensor of rank ${order.length}`, [x]);
    return { dtype: x.dtype, shape: order.map((axis) => x.dim(axis)) };
  },
  gradient: ({ cotangent, attrs: { order } }) => [
    () =>
      transpose(
        cotangent,
        order.map((_, i) => order.indexOf(i)),
      ),
  ],
  lower: (emit, { names, attrs }) => emit.node("Transpose", names, { perm: attrs.order }),
  samples: (draw) => [{ inputs: [{ shape: draw.shape(3) }], attrs: { order: [2, 0, 1] } }],
});

/** Reorders the axes: axis i of the result is axis `order[i]` of x. */
export const transpose = (x: Tensor, order: readonly number[]): Tensor =>
  order.every((axis, i) => axis === i) ? x : transposeOp([x], { order });

interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

const sliceOp = defineOp<SliceAttrs, readonly [Tensor]>({
  name: "slice",
  type([x], { axis, start, end }) {
    const size = x.dim(axis);
    if (typeof size !== "number" || start < 0 || end > size || end <= start) {
      throw shapeError("slice", `a known axis ${axis} that holds ${start}..${end}`, [x]);
    }
    return { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? end - start : d)) };
  },
  gradient: ({ inputs: [x], cotangent, attrs: { axis, start, end } }) => [
    () => padOp([cotangent], { axis, before: start, after: (x.dim(axis) as number) - end }),
  ],
  lower(emit, { names: [x], output, attrs: { axis, start, end } }) {
    if (output.dtype === "int32" && emit.provider !== "cpu") {
      // WebGPU slices floats alone; integers would go through host memory and back.
      const places = Array.from({ length: end - start }, (_, i) => start + i);
      return emit.node("Gather", [x as string, emit.constant("int64", [places.length], places)], { axis });
    }
    return emit.node("Slice", [x as string, ...[start, end, axis].map((v) => emit.constant("int64", [1], [v]))]);
  },
  samples: (draw) => {
    const [rows, columns] = [draw.integer(2, 4), draw.size()];
    const int32 = Array.from({ length: rows * columns }, () => draw.integer(-9, 9));
    const attrs = { axis: 0, start: 1, end: rows };
    return [
      { inputs: [{ shape: [rows, columns] }], attrs },
      { inputs: [{ shape: [rows, columns], int32 }], attrs },
    ];
  },
});

/** Elements `start .. end-1` of an axis of known size. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = axisOf(axis, x.rank, "slice");
  return start === 0 && end === x.dim(at) ? x : sliceOp([x], { axis: at, start, end });
}

const padOp = defineOp<{ axis: number; before: number; after: number }, readonly [Tensor]>({
  name: "pad",
  type([x], { axis, before, after }) {
    const size = x.dim(axis);
    if (typeof size !== "number") throw shapeError("pad", `a known axis ${axis}`, [x]);
    return { dtype: x.dtype, shape: x.shape.map((d, i) => (i === axis ? size + before + after : d)) };
  },
  gradient: ({ inputs: [x], cotangent, attrs: { axis, before } }) => [
    () => slice(cotangent, axis, before, before + (x.dim(axis) as number)),
  ],
  lower(emit, { names: [x], inputs: [input], attrs: { axis, before, after } }) {
    const pads = [
      ...input.shape.map((_, i) => (i === axis ? before : 0)),
      ...input.shape.map((_, i) => (i === axis ? after : 0)),
    ];
    return emit.node("Pad", [x as string, emit.constant("int64", [pads.length], pads)], { mode: "constant" });
  },
  samples: (draw) => [{ inputs: [{ shape: draw.shape(2) }], attrs: { axis: 1, before: 2, after: 1 } }],
});

const concatOp = defineOp<{ axis: number; size: Dim }, readonly Tensor[]>({
  name: "concat",
  type(inputs, { axis, size }) {
    const first = inputs[0];
    const rest = (x: Tensor) => x.shape.map((d, i) => (i === axis ? 1 : d));
    if (first === undefined || inputs.some((x) => x.dtype !== first.dtype || !sameShape(rest(x), rest(first)))) {
      throw shapeError("concat", `one dtype and equal shapes but for axis ${axis}`, inputs);
    }
    return { dtype: first.dtype, shape: first.shape.map((d, i) => (i === axis ? size : d)) };
  },
  gradient({ inputs, cotangent, attrs: { axis } }) {
    let start = 0;
    return inputs.map((x) => {
      const from = start;
      const size = x.dim(axis);
      if (typeof size !== "number") {
        throw new BoosterError("NOT_DIFFERENTIABLE", "concat along a symbolic axis has no gradient");
      }
      start += size;
      return () => slice(cotangent, axis, from, from + size);
    });
  },
  lower: (emit, { names, attrs }) => emit.node("Concat", names, { axis: attrs.axis }),
  samples: (draw) => {
    const [a, b, c] = [draw.size(), draw.size(), draw.size()];
    return [{ inputs: [{ shape: [a, b] }, { shape: [a, c] }], attrs: { axis: 1, size: b + c } }];
  },
});

/**
 * Joins tensors along an axis. Where sizes are symbolic, `name` is the size of the result.
 *
 * @throws {BoosterError} `SHAPE_MISMATCH` when other axes differ, or a symbolic sum has no name.
 */
export function concat(inputs: readonly Tensor[], axis: number, name?: string): Tensor {
  const [first] = inputs;
  if (first === undefined) throw new BoosterError("SHAPE_MISMATCH", "concat needs at least one tensor");
  if (inputs.length === 1) return first;
  const at = axisOf(axis, first.rank, "concat");
  const sizes = inputs.map((x) => x.dim(at));
  if (sizes.every((d) => typeof d === "number")) {
    return concatOp(inputs, { axis: at, size: sizes.reduce((a, b) => a + b, 0) });
  }
  if (name === undefined) throw shapeError("concat", "a name for the joined symbolic axis", inputs);
  return concatOp(inputs, { axis: at, size: namedDim(name) });
}

export const SHAPE_OPS = [reshapeOp.op, transposeOp.op, sliceOp.op, padOp.op, concatOp.op];
