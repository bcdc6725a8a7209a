import { describe, expect, test } from "vitest";
import { BLOCK_FORMATS, type BlockFormatName } from "./block-formats.ts";
import { dequantise, quantiseQ8, unpackBlocks } from "./quantised.ts";
import { RandomStream } from "./random.ts";

/** float16 1.5 and -2, little endian. */
const SCALE = [0x00, 0x3e];
const MINIMUM = [0x00, 0xc0];
/** Byte j: low nibble j, high nibble 15 - j. */
const NIBBLES = Array.from({ length: 16 }, (_, j) => j | ((15 - j) << 4));
const CODES = [...Array.from({ length: 16 }, (_, j) => j), ...Array.from({ length: 16 }, (_, j) => 15 - j)];

describe("dequantise", () => {
  test("Q8_0: signed codes times the scale", () => {
    const codes = Array.from({ length: 32 }, (_, i) => i * 8 - 128);
    const bytes = Uint8Array.from([...SCALE, ...codes]);
    expect([...dequantise("Q8_0", bytes)]).toEqual(codes.map((code) => 1.5 * code));
  });

  test("Q4_0: low nibbles first, codes around 8", () => {
    const bytes = Uint8Array.from([...SCALE, ...NIBBLES]);
    expect([...dequantise("Q4_0", bytes)]).toEqual(CODES.map((code) => 1.5 * (code - 8)));
  });

  test("Q4_1: codes above a minimum; blocks follow each other, in a view that is not aligned", () => {
    const two = [...SCALE, ...MINIMUM, ...NIBBLES, ...SCALE, ...SCALE, ...NIBBLES];
    const bytes = Uint8Array.from([0, ...two]).subarray(1);
    const expected = [...CODES.map((code) => 1.5 * code - 2), ...CODES.map((code) => 1.5 * code + 1.5)];
    expect([...dequantise("Q4_1", bytes)]).toEqual(expected);
  });

  test("a part of a block is refused", () => {
    expect(() => dequantise("Q4_0", new Uint8Array(17))).toThrow(expect.objectContaining({ code: "QUANTISED_LENGTH" }));
  });
});

const formats = Object.entries(BLOCK_FORMATS) as [BlockFormatName, (typeof BLOCK_FORMATS)[BlockFormatName]][];

/** Bits of a code; the rest of a block is shared. */
const BITS: Readonly<Record<BlockFormatName, number>> = {
  ...{ Q4_0: 4, Q4_1: 4, Q5_0: 5, Q5_1: 5, Q8_0: 8, IQ4_NL: 4, IQ4_XS: 4, MXFP4: 4 },
  ...{ Q2_K: 2, Q3_K: 3, Q4_K: 4, Q5_K: 5, Q6_K: 6 },
};

describe.each(formats)("%s", (name, { elements, bytes, group, range, added }) => {
  const random = new RandomStream(2, name);
  const blocks = Uint8Array.from({ length: 20 * bytes }, (_, i) => Math.floor(256 * random.uniform(i)));
  const { codes, scales, minima } = unpackBlocks(name, blocks);

  test("random bytes are codes that reach both ends of the range and never leave it", () => {
    expect([Math.min(...codes), Math.max(...codes)]).toEqual(range);
    expect([codes.length, scales.length, minima?.length]).toEqual([
      20 * elements,
      (20 * elements) / group,
      added ? (20 * elements) / group : undefined,
    ]);
  });

  test("a bit belongs to one element, or to what its group shares", () => {
    let ofElements = 0;
    for (let bit = 0; bit < 8 * bytes; bit++) {
      const flipped = blocks.slice(0, bytes);
      flipped[bit >>> 3] = (flipped[bit >>> 3] as number) ^ (1 << (bit & 7));
      const after = unpackBlocks(name, flipped);
      const changed = [...codes.subarray(0, elements)].filter((code, i) => code !== after.codes[i]).length;
      expect(changed).toBeLessThanOrEqual(1);
      ofElements += changed;
    }
    // The zero of a four-bit float has two signs, which are one code.
    const zeros = name === "MXFP4" ? [...codes.subarray(0, elements)].filter((code) => code === 0).length : 0;
    expect(ofElements).toBe(BITS[name] * elements - zeros);
  });
});

test("Q4_K: eight groups of six-bit scales and minima", () => {
  const shares = Array.from({ length: 8 }, (_, g) => ({ scale: 60 - 7 * g, minimum: 5 + 8 * g }));
  const header = Array.from({ length: 12 }, (_, i) => {
    const [first, late] = [shares[i & 3], shares[(i & 3) + 4]] as [(typeof shares)[0], (typeof shares)[0]];
    if (i < 4) return first.scale | ((late.scale >> 4) << 6);
    if (i < 8) return first.minimum | ((late.minimum >> 4) << 6);
    return (late.scale & 15) | ((late.minimum & 15) << 4);
  });
  const codes = Array.from({ length: 256 }, (_, i) => (5 * i + (i >> 5)) % 16);
  const pairs = Array.from({ length: 128 }, (_, i) => {
    const at = 64 * (i >> 5) + (i & 31);
    return (codes[at] as number) | ((codes[at + 32] as number) << 4);
  });
  const expected = codes.map((code, i) => {
    const { scale, minimum } = shares[i >> 5] as (typeof shares)[0];
    return 1.5 * scale * code + 2 * minimum;
  });
  expect([...dequantise("Q4_K", Uint8Array.from([...SCALE, ...MINIMUM, ...header, ...pairs]))]).toEqual(expected);
});

describe("quantiseQ8", () => {
  test("errs by at most half a step, and is exact at the largest value's code", () => {
    const random = new RandomStream(1, "q8");
    const values = Float32Array.from({ length: 3200 }, (_, i) => random.normal(i) * 10 ** ((i >> 5) % 5));
    const back = dequantise("Q8_0", quantiseQ8(values));
    for (let block = 0; block < 100; block++) {
      const largest = Math.max(...values.subarray(block * 32, block * 32 + 32).map(Math.abs));
      for (let i = block * 32; i < block * 32 + 32; i++) {
        // Half a step, and the float16 scale's own rounding (2^-11 relative) times 127 codes.
        expect(Math.abs(back[i]! - values[i]!)).toBeLessThanOrEqual((largest / 127) * 0.5 + largest * 2 ** -10);
      }
    }
  });

  test("rounds halves away from zero, and packs an all-zero block", () => {
    const values = new Float32Array(64);
    values.set([127, 0.5, -0.5, 1.5, -2.5]);
    const bytes = quantiseQ8(values);
    expect([...new Int8Array(bytes.buffer, 2, 5)]).toEqual([127, 1, -1, 2, -3]);
    expect([...bytes.subarray(34)]).toEqual(new Array(34).fill(0));
  });

  test("a part of a block is refused", () => {
    expect(() => quantiseQ8(new Float32Array(33))).toThrow(expect.objectContaining({ code: "QUANTISED_LENGTH" }));
  });
});
