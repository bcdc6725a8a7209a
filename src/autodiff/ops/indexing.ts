import { product, type Shape, showShape } from "../dim.ts";
import { defineOp, type Emitter, shapeError, type Tensor } from "../tensor.ts";
import { expand } from "./broadcast.ts";
import { equal, where } from "./compare.ts";
import { ONNX_TYPES, range } from "./constant.ts";
import { reshape } from "./shape.ts";

/** Written once a shape: every padded read needs a row of zeros. */
const zeros = (emit: Emitter, dtype: Tensor["dtype"], shape: Shape): string =>
  emit.shared(`zeros ${dtype} ${showShape(shape)}`, () => [
    emit.node("Expand", [emit.constant(dtype, [], [0]), emit.shape(shape)]),
  ])[0] as string;

const gatherOp = defineOp<null, readonly [Tensor, Tensor]>({
  name: "gather",
  type([x, index]) {
    if (x.rank < 1 || index.dtype !== "int32") throw shapeError("gather", "rows and an int32 index", [x, index]);
    return { dtype: x.dtype, shape: [...index.shape, ...x.shape.slice(1)] };
  },
  gradient: ({ inputs: [x, index], cotangent }) => [
    () => {
      const rest = x.shape.slice(1);
      const count = product(...index.shape);
      return scatterAdd(reshape(cotangent, [count, ...rest]), reshape(index, [count]), x.dim(0));
    },
    undefined,
  ],
  lower: (emit, { names }) => emit.node("Gather", names, { axis: 0 }),
  samples: (draw) => {
    const rows = draw.integer(2, 4);
    const int32 = Array.from({ length: 6 }, () => draw.integer(0, rows - 1));
    return [{ inputs: [{ shape: [rows, draw.size()] }, { shape: [2, 3], int32 }], attrs: null }];
  },
});

/** Rows by number: x `[rows, ...]`, index int32 of any shape -> `[...index, ...]`. Rows may repeat. */
export const gather = (x: Tensor, index: Tensor): Tensor => gatherOp([x, index], null);

const scatterAddOp = defineOp<{ rows: Shape[number] }, readonly [Tensor, Tensor]>({
  name: "scatterAdd",
  type: ([x], { rows }) => ({ dtype: x.dtype, shape: [rows, ...x.shape.slice(1)] }),
  gradient: ({ inputs: [, index], cotangent }) => [() => gather(cotangent, index), undefined],
  lower(emit, { names: [x, index], inputs: [values], output }) {
    const column = emit.node("Unsqueeze", [index as string, emit.constant("int64", [1], [1])]);
    const wide = emit.node("Cast", [column], { to: ONNX_TYPES.int64 });
    const target = zeros(emit, values.dtype, output.shape);
    return emit.node("ScatterND", [target, wide, x as string], { reduction: "add" });
  },
  samples: (draw) => {
    const int32 = Array.from({ length: 4 }, () => draw.integer(0, 2));
    return [{ inputs: [{ shape: [4, draw.size()] }, { shape: [4], int32 }], attrs: { rows: 3 } }];
  },
});

/** Sums rows into `rows` places: x `[n, ...]`, index int32 `[n]` -> `[rows, ...]`. Gradient of `gather`. */
export const scatterAdd = (x: Tensor, index: Tensor, rows: Shape[number]): Tensor => scatterAddOp([x, index], { rows });

const takeOp = defineOp<null, readonly [Tensor, Tensor]>({
  name: "take",
  type([x, index]) {
    if (x.rank !== 2 || index.rank !== 1 || index.dtype !== "int32") {
      throw shapeError("take", "a matrix and one int32 column number a row", [x, index]);
    }
    return { dtype: x.dtype, shape: index.shape };
  },
  gradient: ({ inputs: [x, index], cotangent }) => [
    () => {
      const column = reshape(index, [x.dim(0), 1]);
      const hit = equal(reshape(range(x.dim(1)), [1, x.dim(1)]), column);
      return where(hit, expand(reshape(cotangent, [x.dim(0), 1]), x.shape), 0);
    },
    undefined,
  ],
  lower(emit, { names: [x, index] }) {
    const axis = emit.constant("int64", [1], [1]);
    const picked = emit.node("GatherElements", [x as string, emit.node("Unsqueeze", [index as string, axis])], {
      axis: 1,
    });
    return emit.node("Squeeze", [picked, axis]);
  },
  samples: (draw) => {
    const [rows, columns] = [draw.size(), draw.size()];
    const int32 = Array.from({ length: rows }, () => draw.integer(0, columns - 1));
    return [{ inputs: [{ shape: [rows, columns] }, { shape: [rows], int32 }], attrs: null }];
  },
});

/** One element a row: x `[rows, columns]`, index int32 `[rows]` -> `[rows]`. */
export const take = (x: Tensor, index: Tensor): Tensor => takeOp([x, index], null);

interface MoveAttrs {
  /** The index holds -1, which reads a row of zeros. */
  readonly padded: boolean;
  readonly inversePadded: boolean;
}

const moveRowsOp = defineOp<MoveAttrs, readonly [Tensor, Tensor, Tensor]>({
  name: "moveRows",
  type([x, index, inverse]) {
    const fits =
      x.rank === 2 && index.rank === 1 && inverse.rank === 1 && showShape([x.dim(0)]) === showShape(inverse.shape);
    if (!fits || index.dtype !== "int32")
      throw shapeError("moveRows", "rows, an index and its inverse", [x, index, inverse]);
    return { dtype: x.dtype, shape: [index.dim(0), x.dim(1)] };
  },
  gradient: ({ inputs: [, index, inverse], cotangent, attrs }) => [
    () => moveRows(cotangent, inverse, index, { padded: attrs.inversePadded, inversePadded: attrs.padded }),
    undefined,
    undefined,
  ],
  lower(emit, { names: [x, index], inputs: [rows], attrs }) {
    const width = rows.dim(1);
    if (!attrs.padded) return emit.node("Gather", [x as string, index as string], { axis: 0 });
    // -1 counts from the end, where the row of zeros is.
    const extended = emit.node("Concat", [x as string, zeros(emit, rows.dtype, [1, width])], { axis: 0 });
    return emit.node("Gather", [extended, index as string], { axis: 0 });
  },
  samples: (draw) => [
    {
      inputs: [{ shape: [3, draw.size()] }, { shape: [4], int32: [2, -1, 0, -1] }, { shape: [3], int32: [2, -1, 0] }],
      attrs: { padded: true, inversePadded: true },
    },
  ],
});

/**
 * Moves rows to other places: `y[i] = x[index[i]]`, zeros where `index[i]` is -1.
 *
 * `index` and `inverse` undo each other wherever neither is -1, so no row is read twice and the gradient is the same
 * operation with the two exchanged: no scatter. This is how padding comes and goes around attention.
 */
export const moveRows = (x: Tensor, index: Tensor, inverse: Tensor, attrs: MoveAttrs): Tensor =>
  moveRowsOp([x, index, inverse], attrs);

export const INDEX_OPS = [gatherOp.op, scatterAddOp.op, takeOp.op, moveRowsOp.op];
