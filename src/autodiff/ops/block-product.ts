/** Products of few rows with a matrix in blocks of few bits; made for decoding, hence without a gradient. */
import { defineOp, type Emitter, shapeError, type Tensor } from "../tensor.ts";
import { ONNX_TYPES } from "./constant.ts";

interface BlockAttrs {
  readonly bits: 4 | 8;
  /** Whether x is rounded to 8 bits in each block. */
  readonly rounded: boolean;
}

const sizesOf = (codes: Tensor, { bits }: BlockAttrs) => {
  const [out, groups, bytes] = codes.shape as readonly [number, number, number];
  const group = (8 * bytes) / bits;
  return { out, groups, group, width: groups * group };
};

/** From elementary operators, for what the kernels do not compute in. */
function lowerElementary(emit: Emitter, names: readonly string[], [x, codes]: readonly Tensor[], attrs: BlockAttrs) {
  const [value, packed, scales] = names as readonly [string, string, string];
  const { out, groups, group, width } = sizesOf(codes as Tensor, attrs);
  const { dtype } = x as Tensor;
  const last = emit.constant("int64", [1], [-1]);
  const whole = () => {
    const low = emit.node("BitwiseAnd", [packed, emit.constant("uint8", [], [15])]);
    const high = emit.node("BitShift", [packed, emit.constant("uint8", [], [4])], { direction: "RIGHT" });
    return emit.node("Concat", [emit.node("Unsqueeze", [low, last]), emit.node("Unsqueeze", [high, last])], {
      axis: 3,
    });
  };
  const wide = emit.node("Cast", [attrs.bits === 8 ? packed : whole()], { to: ONNX_TYPES[dtype] });
  const grouped = emit.node("Reshape", [wide, emit.shape([out, groups, group])]);
  const centred = emit.node("Sub", [grouped, emit.constant(dtype, [], [2 ** (attrs.bits - 1)])]);
  const values = emit.node("Mul", [centred, emit.node("Unsqueeze", [scales, last])]);
  return emit.node("Gemm", [value, emit.node("Reshape", [values, emit.shape([out, width])])], { transB: 1 });
}

/** Computes in float32: for four bits there is a kernel. */
const IN_FLOAT = 1;
/** Rounds x to 8 bits in blocks, with a scale for each, and computes in whole numbers. */
const IN_WHOLE_NUMBERS = 4;
/** Three numbers of 8 bits hold the 24 bits of a float32. */
const TERMS = 3;
/** Keeps a block of zeros from being divided by zero. */
const TINY = 1e-30;

/**
 * x as a sum of three, one below the other, each of which the kernel rounds to itself: `h = s round(r / s)` with `s = max|r| / 127` in each
 * block, for what is left after the terms before, and the rest. `[rows, width]` to `[3 * rows, width]`.
 */
function termsOf(emit: Emitter, x: string, groups: number, group: number): string {
  const blocks = emit.node("Reshape", [x, emit.constant("int64", [3], [-1, groups, group])]);
  const last = emit.constant("int64", [1], [2]);
  const terms: string[] = [];
  let rest = blocks;
  while (terms.length < TERMS - 1) {
    const largest = emit.node("ReduceMax", [emit.node("Abs", [rest]), last], { keepdims: 1 });
    const some = emit.node("Max", [largest, emit.constant("float32", [], [TINY])]);
    const scale = emit.node("Mul", [some, emit.constant("float32", [], [1 / 127])]);
    const term = emit.node("Mul", [emit.node("Round", [emit.node("Div", [rest, scale])]), scale]);
    terms.push(term);
    rest = emit.node("Sub", [rest, term]);
  }
  const all = emit.node("Concat", [...terms, rest], { axis: 0 });
  return emit.node("Reshape", [all, emit.constant("int64", [2], [-1, groups * group])]);
}

/** `[rows, 1]`, 0 where all of a row is finite: whole numbers know nothing else. */
const finiteOf = (emit: Emitter, x: string, width: number): string =>
  emit.shared(`finite ${x}`, () => [
    emit.node("Gemm", [x, emit.constant("float32", [width, 1], new Array<number>(width).fill(0))]),
  ])[0] as string;

const blockProductOp = defineOp<BlockAttrs, readonly [Tensor, Tensor, Tensor]>({
  name: "blockProduct",
  type([x, codes, scales], attrs) {
    const { out, groups, width } = sizesOf(codes, attrs);
    const fits = codes.dtype === "uint8" && codes.rank === 3 && scales.dtype === x.dtype;
    if (!fits || x.rank !== 2 || x.dim(1) !== width || scales.dim(0) !== out || scales.dim(1) !== groups) {
      throw shapeError("blockProduct", "[rows, width], codes [out, groups, bytes] and scales [out, groups]", [
        x,
        codes,
        scales,
      ]);
    }
    return { dtype: x.dtype, shape: [x.dim(0), out] };
  },
  lower(emit, { names, inputs, attrs }) {
    const [x, codes, scales] = names as readonly [string, string, string];
    const { out, groups, group, width } = sizesOf(inputs[1], attrs);
    if (inputs[0].dtype !== "float32" || emit.provider !== "cpu" || group < LEAST_GROUP) {
      return lowerElementary(emit, names, inputs, attrs);
    }
    const kernel = (given: string, level: number) =>
      emit.node(
        "MatMulNBits",
        [given, codes, scales],
        { K: width, N: out, bits: attrs.bits, block_size: group, accuracy_level: level },
        "com.microsoft",
      );
    if (attrs.bits === 4 && !attrs.rounded) return kernel(x, IN_FLOAT);
    const finite = finiteOf(emit, x, width);
    if (attrs.rounded) return emit.node("Add", [kernel(x, IN_WHOLE_NUMBERS), finite]);
    const [terms] = emit.shared(`terms ${x} ${groups}`, () => [termsOf(emit, x, groups, group)]);
    const products = emit.nodes("Split", [kernel(terms as string, IN_WHOLE_NUMBERS)], TERMS, {
      axis: 0,
      num_outputs: TERMS,
    });
    return emit.node("Sum", [...products, finite]);
  },
  samples: (draw) =>
    ([4, 8] as const).map((bits) => {
      const [rows, out, groups, bytes] = [draw.size(), draw.size(), draw.size(), 16];
      const values = Array.from({ length: out * groups * bytes }, () => draw.integer(0, 255));
      const width = (groups * bytes * 8) / bits;
      return {
        inputs: [
          { shape: [rows, width] },
          { shape: [out, groups, bytes], dtype: "uint8" as const, values },
          { shape: [out, groups] },
        ],
        attrs: { bits, rounded: false },
      };
    }),
});

/** The smallest blocks that the kernels know. */
export const LEAST_GROUP = 16;

/**
 * `x W'` with `W = (codes - 2^(bits - 1)) * scales`, as exact as in float32: x `[rows, width]`, codes uint8 `[out, groups, bytes]`, of four bits
 * two neighbours a byte, the first one in its low half, scales `[out, groups]` -> `[rows, out]`. Fast where codes and scales are a part of
 * the program (`frozen`) and rows are few: a matrix is read as it is stored. For 8 bits there is no kernel in float32, so x is written
 * as a sum of three numbers of 8 bits, whose products with the codes are whole numbers and exact.
 *
 * @param rounded x is rounded to 8 bits in each block instead, as llama.cpp does: faster, with an error of about one percent
 */
export const blockProduct = (x: Tensor, codes: Tensor, scales: Tensor, bits: 4 | 8, rounded = false): Tensor =>
  blockProductOp([x, codes, scales], { bits, rounded });

export const BLOCK_OPS = [blockProductOp.op];
