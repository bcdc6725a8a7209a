/** Matrices kept in fewer bits than float32: what of them lies in memory, and how it comes about from float32. */
import type { Groups } from "./block-formats.ts";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "./half.ts";
import { type DType, type HostTensor, tensor } from "./tensor.ts";

/**
 * A matrix `[rows, width]` as it is kept. In 16 bits it is `codes` alone. In groups of neighbours of a row it is
 * `codes * scales + minima`, one scale and one minimum a group, `[rows, width / group]`; two codes of four bits share a byte: the low half
 * of byte j of a row is element j, the high half element `j + width / 2`. Codes of four bits without minima are counted from -8.
 */
export interface Stored {
  readonly codes: HostTensor;
  readonly scales?: HostTensor<"float32">;
  readonly minima?: HostTensor<"float32">;
}

/** The same change to each part. */
export const mapParts = (
  { codes, scales, minima }: Stored,
  change: <D extends DType>(part: HostTensor<D>) => HostTensor<D>,
): Stored => ({
  codes: change(codes),
  ...(scales && { scales: change(scales) }),
  ...(minima && { minima: change(minima) }),
});

/** Whether every number is finite for sure: of groups whatever their codes are. */
export function surelyFinite({ codes, scales, minima }: Stored): boolean {
  const isSmall = (x: number) => Math.abs(x) < 2 ** 119;
  if (scales !== undefined) return scales.data.every(isSmall) && (minima?.data.every(isSmall) ?? true);
  const exponent = codes.dtype === "float16" ? 0x7c00 : 0x7f80;
  return (codes.data as Uint16Array).every((bits) => (bits & exponent) !== exponent);
}

/** What stands for 0 among codes of four bits to which no minimum is added. */
export const MIDDLE = 8;

type Matrix = readonly [rows: number, width: number];

/**
 * Codes in groups, four bits each where their range allows.
 *
 * @param range the least and the largest code that may occur
 */
export function storedGroups(
  { codes, scales, minima }: Groups,
  [rows, width]: Matrix,
  [least, most]: readonly [number, number],
): Stored {
  const groups = [rows, scales.length / rows];
  const parts = {
    scales: tensor("float32", groups, scales),
    ...(minima === undefined ? {} : { minima: tensor("float32", groups, minima) }),
  };
  const zero = minima === undefined ? MIDDLE : 0;
  const isSmall = least + zero >= 0 && most + zero < 16 && width % 2 === 0;
  if (!isSmall) return { codes: tensor("int8", [rows, width], codes), ...parts };
  const half = width / 2;
  const bytes = new Uint8Array(rows * half);
  for (let row = 0, at = 0; row < rows; row++) {
    const from = row * width;
    for (let j = 0; j < half; j++, at++) {
      bytes[at] = (codes[from + j] as number) + zero + (((codes[from + half + j] as number) + zero) << 4);
    }
  }
  return { codes: tensor("uint8", [rows, half], bytes), ...parts };
}

/** Rounds to float16 or bfloat16, to nearest, ties to even. */
export const storedHalves = (dtype: "float16" | "bfloat16", { shape, data }: HostTensor<"float32">): Stored => ({
  codes:
    dtype === "float16" ? tensor("float16", shape, floatToHalf(data)) : tensor("uint16", shape, floatToBfloat(data)),
});

/** Neighbours of a row that share a scale. */
export const GROUP = 32;

/**
 * Quantises float32 in groups, to nearest: in 8 bits `scale = max|x| / 127`, `code = round(x / scale)`; in 4 bits
 * `minimum = min x`, `scale = (max x - min x) / 15`, `code = round((x - minimum) / scale)`.
 *
 * @param group divides the width
 */
export function quantiseGroups(bits: 4 | 8, { shape, data }: HostTensor<"float32">, group: number): Stored {
  const count = data.length / group;
  const [codes, scales, minima] = [new Int8Array(data.length), new Float32Array(count), new Float32Array(count)];
  for (let g = 0; g < count; g++) {
    const values = data.subarray(g * group, (g + 1) * group);
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const x of values) {
      least = Math.min(least, x);
      most = Math.max(most, x);
    }
    const [from, range] = bits === 8 ? [0, Math.max(-least, most) / 127] : [least, (most - least) / 15];
    scales[g] = range;
    minima[g] = from;
    const scale = scales[g] as number;
    values.forEach((x, i) => {
      codes[g * group + i] = scale === 0 ? 0 : Math.round((x - from) / scale);
    });
  }
  const matrix = shape as Matrix;
  return bits === 8
    ? storedGroups({ codes, scales, minima: undefined }, matrix, [-127, 127])
    : storedGroups({ codes, scales, minima }, matrix, [0, 15]);
}

/** The float32 that a stored matrix stands for; what programs compute from it, on the host. */
export function widened({ codes, scales, minima }: Stored): HostTensor<"float32"> {
  const { dtype, shape } = codes;
  if (dtype === "float16") return tensor("float32", shape, halfToFloat(codes.data as Uint16Array));
  if (dtype === "uint16") return tensor("float32", shape, bfloatToFloat(codes.data as Uint16Array));
  const [rows = 0, columns = 0] = shape;
  const packed = dtype === "uint8";
  const width = packed ? 2 * columns : columns;
  const zero = packed && minima === undefined ? MIDDLE : 0;
  const perRow = (scales?.data.length ?? 0) / rows;
  const group = width / perRow;
  const bytes = codes.data as Uint8Array | Int8Array;
  const out = new Float32Array(rows * width);
  for (let i = 0; i < out.length; i++) {
    const [row, column] = [Math.floor(i / width), i % width];
    const byte = bytes[row * columns + (column % columns)] as number;
    const code = packed ? (column < columns ? byte & 15 : byte >>> 4) - zero : byte;
    const at = row * perRow + Math.floor(column / group);
    // Product and sum are each rounded. Adding -0 leaves every number as it is.
    out[i] = Math.fround(code * (scales?.data[at] as number)) + (minima?.data[at] ?? -0);
  }
  return tensor("float32", [rows, width], out);
}
