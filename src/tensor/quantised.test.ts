import { describe, expect, test } from "vitest";
import { dequantise, quantiseQ8 } from "./quantised.ts";
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
