import { BoosterError } from "../errors.ts";
import { floatToBfloat, floatToHalf } from "../tensor/half.ts";
import { quantiseQ8 } from "../tensor/quantised.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { FORMATS } from "./tensor-file.ts";

const bytesOf = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray<ArrayBuffer>): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Formats that weights are written in, with what makes bytes of numbers. */
const ENCODERS = {
  F32: (data: Float32Array) => bytesOf(data as Float32Array<ArrayBuffer>),
  F16: (data: Float32Array) => bytesOf(floatToHalf(data) as Uint16Array<ArrayBuffer>),
  BF16: (data: Float32Array) => bytesOf(floatToBfloat(data) as Uint16Array<ArrayBuffer>),
  Q8_0: quantiseQ8,
} as const;
export type WrittenFormat = keyof typeof ENCODERS;

/** A tensor that is written into a file: its bytes are made when their turn comes, so that one tensor is in memory at a time. */
export interface Written {
  readonly format: string;
  readonly shape: readonly number[];
  /** Length of what `bytes` gives. */
  readonly size: number;
  bytes(): Uint8Array;
}

/**
 * A float32 tensor to be written in a format, rounded to nearest.
 *
 * @throws {BoosterError} from `bytes`: what `load` throws, and `NON_FINITE_WEIGHT` where a number is too large for float16
 * @example
 * written("F16", [2, 3], () => weights.load("lm_head.weight")).size; // 12
 */
export function written(format: WrittenFormat, shape: readonly number[], load: () => HostTensor<"float32">): Written {
  const { elements, bytes } = FORMATS[format];
  return {
    format,
    shape,
    size: (shape.reduce((product, dim) => product * dim, 1) / elements) * bytes,
    bytes() {
      const { data } = load();
      const large = format === "F16" || format === "Q8_0" ? data.findIndex((x) => Math.abs(x) >= LARGEST[format]) : -1;
      if (large < 0) return ENCODERS[format](data);
      throw new BoosterError("NON_FINITE_WEIGHT", `a weight is too large for ${format}`, {
        found: `${data[large]}`,
        hint: "Choose bfloat16 or float32",
      });
    },
  };
}

/** What float16, and 127 times a float16 scale, round to infinity. */
const LARGEST = { F16: 65_520, Q8_0: 65_520 * 127 };
