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
  /**
   * int32 `[m]`, counting all n places: the one that reads each row; -1 where none does. With `readers`, n + j stands for all places of
   * its j-th list.
   */
  readonly back: Tensor;
  /** int32 `[lists, readers]`: the places that read one row, for rows that several read; -1 where they are fewer. */
  readonly readers?: Tensor | undefined;
  /** Whether `to` holds -1. */
  readonly padded: boolean;
  /** Whether `back` holds -1. */
  readonly partial: boolean;
}

interface MoveAttrs extends Pick<Index, "padded" | "partial"> {
  readonly way: "move" | "collect";
}

/** Inputs: what is moved, `to`, `back` and, where rows have several readers, `readers`. */
const moveOp: OpFunction<MoveAttrs> = defineOp<MoveAttrs, readonly [Tensor, Tensor, Tensor, ...Tensor[]]>({
  name: "move",
  type([x, to, back], { way }) {
    const count = way === "move" ? back.dim(0) : product(...to.shape);
    const fits = x.rank === 2 && back.rank === 1 && sameDim(x.dim(0), count);
    if (!fits || to.dtype !== "int32") throw shapeError("move", "rows and their index", [x, to, back]);
    return { dtype: x.dtype, shape: [...(way === "move" ? to.shape : back.shape), x.dim(1)] };
  },
  gradient: ({ inputs: [x, ...index], cotangent, attrs }) => [
    () => {
      const way = attrs.way === "move" ? "collect" : "move";
      return reshape(moveOp([rowsOf(cotangent), ...index] as Tensor[], { ...attrs, way }), x.shape);
    },
    ...index.map(() => undefined),
  ],
  lower(emit, { names: [x, to, back, readers], inputs: [rows], attrs: { way, padded, partial } }) {
    const joined = (...parts: readonly string[]) =>
      parts.length === 1 ? (parts[0] as string) : emit.node("Concat", parts, { axis: 0 });
    // -1 counts from the end, where the row of zeros is.
    const zero = () => zeros(emit, rows.dtype, [1, rows.dim(1)]);
    const read = (from: string, index: string) => emit.node("Gather", [from, index], { axis: 0 });
    const own = x as string;
    if (way === "move") return read(joined(own, ...(padded ? [zero()] : [])), to as string);
    const sums = readers && [
      emit.node("ReduceSum", [read(joined(own, zero()), readers), emit.constant("int64", [1], [1])], { keepdims: 0 }),
    ];
    return read(joined(own, ...(sums ?? []), ...(partial ? [zero()] : [])), back as string);
  },
  samples: (draw) =>
    [
      { to: [2, -1, 0, -1], back: [2, -1, 0] },
      { to: [2, 0, 1], back: [1, 2, 0] },
      { to: [2, -1, 0, 0, 1], back: [5, 4, 0], readers: [[2, 3]] },
      {
        to: [0, 1, 0, 2, 0, 1],
        back: [6, 7, 3],
        readers: [
          [0, 2, 4],
          [1, 5, -1],
        ],
      },
      { to: [0, 1, 2], back: [0, 1, 2], readers: [[0]] },
    ].flatMap(({ to, back, readers }) =>
      (["move", "collect"] as const).map((way) => ({
        inputs: [
          { shape: [(way === "move" ? back : to).length, draw.size()] },
          { shape: [to.length], int32: to },
          { shape: [back.length], int32: back },
          ...(readers ? [{ shape: [readers.length, readers[0]?.length as number], int32: readers.flat() }] : []),
        ],
        attrs: { way, padded: to.includes(-1), partial: back.includes(-1) },
      })),
    ),
});

const rowsOf = (x: Tensor): Tensor => reshape(x, [product(...x.shape.slice(0, -1)), x.dim(-1)]);

const inputsOf = (x: Tensor, { to, back, readers }: Index): Tensor[] =>
  readers === undefined ? [x, to, back] : [x, to, back, readers];

/**
 * Rows to places: x `[m, width]` to `[...n, width]`, zeros where `to` is -1. This is how padding comes around attention, and how
 * several rows of a batch read what they have in common.
 *
 * `to` and `back` say the same, so the gradient is `collect`, and that of `collect` is `move`: no scatter, the same bits every time.
 */
export const move = (x: Tensor, index: Index): Tensor =>
  moveOp(inputsOf(x, index), { way: "move", padded: index.padded, partial: index.partial });

/** Places to rows, summed over the readers of each row: g `[...n, width]` to `[m, width]`. Gradient of `move`. */
export const collect = (g: Tensor, index: Index): Tensor =>
  moveOp(inputsOf(rowsOf(g), index), { way: "collect", padded: index.padded, partial: index.partial });

export const INDEX_OPS = [gatherOp.op, scatterAddOp.op, takeOp.op, moveOp.op];
