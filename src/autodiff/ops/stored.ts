/** How weights that are stored in few bits become float32; constants for every gradient. */
import { type Dim, product, quotient, sameDim, sameShape } from "../dim.ts";
import { defineOp, shapeError, type Tensor } from "../tensor.ts";
import { ONNX_TYPES } from "./constant.ts";

const BFLOAT16 = 16;

const bfloatOp = defineOp<null, readonly [Tensor]>({
  name: "bfloat",
  type([x]) {
    if (x.dtype !== "uint16") throw shapeError("bfloat", "the bits of bfloat16 as uint16", [x]);
    return { dtype: "float32", shape: x.shape };
  },
  lower(emit, { names }) {
    const bfloat = emit.node("BitCast", names, { to: BFLOAT16 });
    return emit.node("Cast", [bfloat], { to: ONNX_TYPES.float32 });
  },
  samples: () => [
    { inputs: [{ shape: [2, 2], dtype: "uint16", values: [0x3f80, 0xc040, 0x0000, 0x3eab] }], attrs: null },
  ],
});

/** bfloat16, given as the bits in uint16, to float32. */
export const bfloat = (x: Tensor): Tensor => bfloatOp([x], null);

const nibblesOp = defineOp<null, readonly [Tensor]>({
  name: "nibbles",
  type([x]) {
    if (x.dtype !== "uint8" || x.rank !== 2) throw shapeError("nibbles", "a uint8 matrix", [x]);
    return { dtype: "uint8", shape: [x.dim(0), product(2, x.dim(1))] };
  },
  lower(emit, { names: [x] }) {
    const low = emit.node("BitwiseAnd", [x as string, emit.constant("uint8", [], [15])]);
    const high = emit.node("BitShift", [x as string, emit.constant("uint8", [], [4])], { direction: "RIGHT" });
    return emit.node("Concat", [low, high], { axis: 1 });
  },
  samples: () => [
    { inputs: [{ shape: [2, 3], dtype: "uint8", values: [0x10, 0xf2, 0x7f, 0x00, 0x88, 0xff] }], attrs: null },
  ],
});

/** Two numbers of four bits a byte: uint8 `[rows, width / 2]` to `[rows, width]`, the low halves of a row's bytes first, then the high ones. */
export const nibbles = (x: Tensor): Tensor => nibblesOp([x], null);

interface DequantiseAttrs {
  /** The code that stands for 0. */
  readonly zero: number;
}

const dequantiseOp = defineOp<DequantiseAttrs, readonly [Tensor, Tensor]>({
  name: "dequantise",
  type([codes, scales]) {
    const fits = codes.rank === 2 && scales.rank === 2 && sameDim(codes.dim(0), scales.dim(0));
    const width = product(scales.dim(1), quotient(codes.dim(1), scales.dim(1)));
    if (!fits || !sameShape(codes.shape, [codes.dim(0), width])) {
      throw shapeError("dequantise", "codes [rows, width] and scales [rows, width / group]", [codes, scales]);
    }
    return { dtype: scales.dtype, shape: codes.shape };
  },
  // Not `DequantizeLinear`: its kernel takes twice as long, and ONNX Runtime runs it once for every reader of its result.
  lower(emit, { names: [codes, scales], inputs: [{ shape }, scale], attrs: { zero } }) {
    const { dtype } = scale;
    const group = quotient(shape[1] as Dim, scale.dim(1));
    const wide = emit.node("Cast", [codes as string], { to: ONNX_TYPES[dtype] });
    const moved = zero === 0 ? wide : emit.node("Sub", [wide, emit.constant(dtype, [], [zero])]);
    const grouped = emit.node("Reshape", [moved, emit.shape([...scale.shape, group])]);
    const column = emit.node("Unsqueeze", [scales as string, emit.constant("int64", [1], [-1])]);
    return emit.node("Reshape", [emit.node("Mul", [grouped, column]), emit.shape(shape)]);
  },
  samples: (draw) =>
    (["int8", "uint8"] as const).map((dtype) => {
      const [rows, groups, group] = [draw.size(), draw.size(), draw.integer(2, 4)];
      const values = Array.from({ length: rows * groups * group }, () => draw.integer(0, 15));
      return {
        inputs: [{ shape: [rows, groups * group], dtype, values }, { shape: [rows, groups] }],
        attrs: { zero: dtype === "uint8" ? 8 : 0 },
      };
    }),
});

/**
 * `(codes - zero) * scales`, each scale for a group of neighbours in a row: codes int8 or uint8 `[rows, width]`, scales
 * `[rows, width / group]` -> `[rows, width]`.
 */
export const dequantise = (codes: Tensor, scales: Tensor, zero = 0): Tensor => dequantiseOp([codes, scales], { zero });

export const STORED_OPS = [bfloatOp.op, nibblesOp.op, dequantiseOp.op];
