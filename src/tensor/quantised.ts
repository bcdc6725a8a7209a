import { BoosterError } from "../errors.ts";
import { floatToHalf, halfToFloat } from "./half.ts";

/** Elements of one block, in every format here. */
export const BLOCK_ELEMENTS = 32;

/** Block formats of ggml that can be widened to float32. */
export type BlockFormat = "Q8_0" | "Q4_0" | "Q4_1";

/** Bytes of one block of 32 elements. */
export const BLOCK_BYTES: Readonly<Record<BlockFormat, number>> = { Q8_0: 34, Q4_0: 18, Q4_1: 20 };

/**
 * Widens ggml quantisation blocks to float32. With d and m the block's float16 scale and minimum and q its codes:
 *
 *     Q8_0: d, 32 x int8       x = d q
 *     Q4_0: d, 16 bytes        x = d (q - 8)
 *     Q4_1: d, m, 16 bytes     x = d q + m
 *
 * Byte j of a 4-bit block holds element j in its low and element j + 16 in its high four bits.
 *
 * Source: ggml's block structures (`ggml-common.h`) and their reference rows in `ggml-quants.c`.
 *
 * @throws {BoosterError} `QUANTISED_LENGTH` when the bytes are no whole number of blocks.
 * @example
 * dequantise("Q8_0", block); // 34 bytes to 32 numbers
 */
export function dequantise(format: BlockFormat, bytes: Uint8Array): Float32Array {
  const size = BLOCK_BYTES[format];
  if (bytes.length % size !== 0) {
    throw new BoosterError("QUANTISED_LENGTH", `${format} data is no whole number of blocks`, {
      expected: `a multiple of ${size} bytes`,
      found: `${bytes.length}`,
    });
  }
  const blocks = bytes.length / size;
  const scales = headerHalves(bytes, blocks, size, 0);
  const out = new Float32Array(blocks * BLOCK_ELEMENTS);
  if (format === "Q8_0") {
    const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let block = 0; block < blocks; block++) {
      const scale = scales[block]!;
      const from = block * size + 2;
      const to = block * BLOCK_ELEMENTS;
      for (let i = 0; i < BLOCK_ELEMENTS; i++) out[to + i] = codes[from + i]! * scale;
    }
    return out;
  }
  const middle = format === "Q4_0" ? 8 : 0;
  const minima = format === "Q4_1" ? headerHalves(bytes, blocks, size, 2) : undefined;
  for (let block = 0; block < blocks; block++) {
    const scale = scales[block]!;
    // Adding -0 leaves every number as it is, +0 would turn -0 into +0.
    const least = minima === undefined ? -0 : minima[block]!;
    const from = (block + 1) * size - 16;
    const to = block * BLOCK_ELEMENTS;
    for (let i = 0; i < 16; i++) {
      const pair = bytes[from + i]!;
      out[to + i] = ((pair & 15) - middle) * scale + least;
      out[to + i + 16] = ((pair >>> 4) - middle) * scale + least;
    }
  }
  return out;
}

/** The float16 at `offset` of every block, as float32. */
function headerHalves(bytes: Uint8Array, blocks: number, size: number, offset: number): Float32Array {
  const halves = new Uint16Array(blocks);
  for (let block = 0; block < blocks; block++) {
    const at = block * size + offset;
    halves[block] = bytes[at]! | (bytes[at + 1]! << 8);
  }
  return halfToFloat(halves);
}

/**
 * Packs float32 into Q8_0 blocks: d = max|x| / 127 (stored as float16), q = round(x / d), halves away from zero.
 *
 * Same bytes as ggml's reference row function, which divides by the scale before it is rounded to float16.
 *
 * @throws {BoosterError} `QUANTISED_LENGTH` when the values are no whole number of blocks.
 * @example
 * quantiseQ8(new Float32Array(64)); // 68 bytes
 */
export function quantiseQ8(values: Float32Array): Uint8Array {
  if (values.length % BLOCK_ELEMENTS !== 0) {
    throw new BoosterError("QUANTISED_LENGTH", "values are no whole number of Q8_0 blocks", {
      expected: `a multiple of ${BLOCK_ELEMENTS} values`,
      found: `${values.length}`,
    });
  }
  const blocks = values.length / BLOCK_ELEMENTS;
  const scales = new Float32Array(blocks);
  const bytes = new Uint8Array(blocks * BLOCK_BYTES.Q8_0);
  const codes = new Int8Array(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * BLOCK_ELEMENTS;
    let largest = 0;
    for (let i = 0; i < BLOCK_ELEMENTS; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    const scale = Math.fround(largest / 127);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    for (let i = 0; i < BLOCK_ELEMENTS; i++) {
      const scaled = Math.fround(values[from + i]! * inverse);
      codes[block * BLOCK_BYTES.Q8_0 + 2 + i] = Math.sign(scaled) * Math.round(Math.abs(scaled));
    }
  }
  const halves = floatToHalf(scales);
  for (let block = 0; block < blocks; block++) {
    bytes[block * BLOCK_BYTES.Q8_0] = halves[block]! & 0xff;
    bytes[block * BLOCK_BYTES.Q8_0 + 1] = halves[block]! >>> 8;
  }
  return bytes;
}
