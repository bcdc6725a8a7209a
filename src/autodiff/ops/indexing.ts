import { product, type Shape, sameDim, showShape } from "../dim.ts";
import { defineOp, type Emitter, type OpFunction, shapeError, type Tensor } from "../tensor.ts";
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

/** Which places read which rows: `to` and `back` say the same from both sides. */
export interface Index {
  /** int32 of any shape: the row that each place reads; -1 reads zeros. */
  readonly to: Tensor;
  /** int32 `[m, readers]`, counting all places: those that read each row; -1 where they are fewer. */
  readonly back: Tensor;
  /** Whether `to` holds -1. */
  readonly padded: boolean;
  /** Whether `back` holds -1. */
  readonly partial: boolean;
}

interface MoveAttrs {
  /** Rows that are added up in each place, and places in each row. */
  readonly terms: number;
  readonly inverseTerms: number;
  /** The index holds -1, which reads a row of zeros. */
  readonly padded: boolean;
  readonly inversePadded: boolean;
}

/**
 * `y[i] = Σ_k x[index[i, k]]`, without k where `terms` is 1: places keep the shape of their index. `inverse` says of each row of x in
 * which places it is added.
 */
const moveOp: OpFunction<MoveAttrs> = defineOp<MoveAttrs, readonly [Tensor, Tensor, Tensor]>({
  name: "move",
  type([x, index, inverse], { terms, inverseTerms }) {
    const fits = x.rank === 2 && sameDim(product(x.dim(0), inverseTerms), product(...inverse.shape));
    if (!fits || index.dtype !== "int32") throw shapeError("move", "rows and their index", [x, index, inverse]);
    const places = terms === 1 ? index.shape : index.shape.slice(0, -1);
    return { dtype: x.dtype, shape: [...places, x.dim(1)] };
  },
  gradient: ({ inputs: [x, index, inverse], cotangent, attrs }) => [
    () => {
      const back = moveOp([rowsOf(cotangent), inverse, index], inverseOf(attrs));
      return reshape(back, x.shape);
    },
    undefined,
    undefined,
  ],
  lower(emit, { names: [x, index], inputs: [rows], attrs: { padded, terms } }) {
    const empty = padded ? [zeros(emit, rows.dtype, [1, rows.dim(1)])] : [];
    // -1 counts from the end, where the row of zeros is.
    const from = padded ? emit.node("Concat", [x as string, ...empty], { axis: 0 }) : (x as string);
    const read = emit.node("Gather", [from, index as string], { axis: 0 });
    return terms === 1 ? read : emit.node("ReduceSum", [read, emit.constant("int64", [1], [-2])], { keepdims: 0 });
  },
  samples: (draw) =>
    [
      { terms: 1, index: [2, -1, 0, -1], inverseTerms: 1, inverse: [2, -1, 0] },
      { terms: 1, index: [2, 0, 1], inverseTerms: 1, inverse: [1, 2, 0] },
      { terms: 1, index: [2, -1, 0, 0, 1], inverseTerms: 2, inverse: [2, 3, 4, -1, 0, -1] },
      { terms: 2, index: [2, 3, 4, -1, 0, -1], inverseTerms: 1, inverse: [2, -1, 0, 0, 1] },
      { terms: 3, index: [0, 3, 4, 1, 2, 5], inverseTerms: 1, inverse: [0, 1, 1, 0, 0, 1] },
    ].map(({ terms, index, inverseTerms, inverse }) => {
      const shapeOf = (of: readonly number[], k: number) => (k === 1 ? [of.length] : [of.length / k, k]);
      return {
        inputs: [
          { shape: [inverse.length / inverseTerms, draw.size()] },
          { shape: shapeOf(index, terms), int32: index },
          { shape: shapeOf(inverse, inverseTerms), int32: inverse },
        ],
        attrs: { terms, inverseTerms, padded: index.includes(-1), inversePadded: inverse.includes(-1) },
      };
    }),
});

/** The attributes of the way back. */
const inverseOf = ({ terms, inverseTerms, padded, inversePadded }: MoveAttrs): MoveAttrs => ({
  terms: inverseTerms,
  inverseTerms: terms,
  padded: inversePadded,
  inversePadded: padded,
});

const rowsOf = (x: Tensor): Tensor => reshape(x, [product(...x.shape.slice(0, -1)), x.dim(-1)]);

/** The attributes of `move`, and `back` without its axis where each row has one reader. */
function sides({ back, padded, partial }: Index) {
  const readers = back.dim(1) as number;
  const attrs = { terms: 1, inverseTerms: readers, padded, inversePadded: partial };
  return { attrs, back: readers === 1 ? reshape(back, [back.dim(0)]) : back };
}

/**
 * Rows to places: x `[m, width]` to `[...n, width]`, zeros where `to` is -1. This is how padding comes around attention.
 *
 * `to` and `back` say the same, so the gradient is `collect`, and that of `collect` is `move`: no scatter, the same bits every time.
 */
export function move(x: Tensor, index: Index): Tensor {
  const { attrs, back } = sides(index);
  return moveOp([x, index.to, back], attrs);
}

/** Places to rows, summed over the readers of each row: g `[...n, width]` to `[m, width]`. Gradient of `move`. */
export function collect(g: Tensor, index: Index): Tensor {
  const { attrs, back } = sides(index);
  return moveOp([rowsOf(g), back, index.to], inverseOf(attrs));
}

export const INDEX_OPS = [gatherOp.op, scatterAddOp.op, takeOp.op, moveOp.op];
