import { BoosterError } from "../errors.ts";
import { BLOCK_FORMATS, type BlockFormat, type BlockFormatName, type Groups } from "./block-formats.ts";
import { floatToHalf } from "./half.ts";

/**
 * Takes blocks of ggml's apart: whole numbers, and what makes numbers of them again, see `Groups`.
 *
 * @throws {BoosterError} `QUANTISED_LENGTH` when the bytes are no whole number of blocks.
 * @example
 * const { codes, scales } = unpackBlocks("Q8_0", block); // 34 bytes to 32 codes and a scale
 */
export function unpackBlocks(name: BlockFormatName, bytes: Uint8Array): Groups {
  const format: BlockFormat = BLOCK_FORMATS[name];
  if (bytes.length % format.bytes !== 0) {
    throw new BoosterError("QUANTISED_LENGTH", `${name} data is no whole number of blocks`, {
      expected: `a multiple of ${format.bytes} bytes`,
      found: `${bytes.length}`,
    });
  }
  const size = (bytes.length / format.bytes) * format.elements;
  const groups = size / format.group;
  const into: Groups = {
    codes: new Int8Array(size),
    scales: new Float32Array(groups),
    minima: format.added ? new Float32Array(groups) : undefined,
  };
  for (let at = 0, code = 0; code < size; at += format.bytes, code += format.elements) {
    format.unpack(bytes, at, into, code, code / format.group);
  }
  return into;
}

/**
 * Widens ggml quantisation blocks to float32: code times the group's scale, plus its minimum.
 *
 * @throws {BoosterError} as `unpackBlocks`.
 * @example
 * dequantise("Q8_0", block); // 34 bytes to 32 numbers
 */
export function dequantise(name: BlockFormatName, bytes: Uint8Array): Float32Array {
  const { group } = BLOCK_FORMATS[name];
  const { codes, scales, minima } = unpackBlocks(name, bytes);
  const out = new Float32Array(codes.length);
  for (let g = 0, i = 0; g < scales.length; g++) {
    const scale = scales[g] as number;
    // Adding -0 leaves every number as it is, +0 would turn -0 into +0.
    const least = minima?.[g] ?? -0;
    for (const end = i + group; i < end; i++) out[i] = Math.fround((codes[i] as number) * scale) + least;
  }
  return out;
}

const { elements: ELEMENTS, bytes: BYTES } = BLOCK_FORMATS.Q8_0;

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
  if (values.length % ELEMENTS !== 0) {
    throw new BoosterError("QUANTISED_LENGTH", "values are no whole number of Q8_0 blocks", {
      expected: `a multiple of ${ELEMENTS} values`,
      found: `${values.length}`,
    });
  }
  const blocks = values.length / ELEMENTS;
  const scales = new Float32Array(blocks);
  const bytes = new Uint8Array(blocks * BYTES);
  const codes = new Int8Array(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const from = block * ELEMENTS;
    let largest = 0;
    for (let i = 0; i < ELEMENTS; i++) largest = Math.max(largest, Math.abs(values[from + i]!));
    const scale = Math.fround(largest / 127);
    scales[block] = scale;
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    for (let i = 0; i < ELEMENTS; i++) {
      const scaled = Math.fround(values[from + i]! * inverse);
      codes[block * BYTES + 2 + i] = Math.sign(scaled) * Math.round(Math.abs(scaled));
    }
  }
  const halves = floatToHalf(scales);
  for (let block = 0; block < blocks; block++) {
    bytes[block * BYTES] = halves[block]! & 0xff;
    bytes[block * BYTES + 1] = halves[block]! >>> 8;
  }
  return bytes;
}
