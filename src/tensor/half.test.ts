import { describe, expect, test } from "vitest";
import { bfloatToFloat, floatToBfloat, floatToHalf, halfToFloat } from "./half.ts";
import { RandomStream } from "./random.ts";

const allPatterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
const float = (bits: number): Float32Array => new Float32Array(Uint32Array.of(bits).buffer);

/** Nearest representable of all candidates, ties to the even pattern: slow, and obviously right. */
function nearest(value: number, candidates: Float32Array): number {
  let best = 0;
  for (let pattern = 0; pattern < candidates.length; pattern++) {
    const distance = Math.abs(candidates[pattern]! - value);
    const least = Math.abs(candidates[best]! - value);
    if (distance < least || (distance === least && pattern % 2 === 0)) best = pattern;
  }
  return best;
}

describe("float16", () => {
  test("known values", () => {
    const known: [number, number][] = [
      [0x0000, 0],
      [0x3c00, 1],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0x3555, 0.333251953125],
    ];
    for (const [bits, value] of known) expect(halfToFloat(Uint16Array.of(bits))[0]).toBe(value);
    expect(halfToFloat(Uint16Array.of(0x8000))[0]).toBe(-0);
  });

  test("all 65 536 patterns come back, NaN quieted", () => {
    const expected = allPatterns.map((pattern) => ((pattern & 0x7fff) > 0x7c00 ? pattern | 0x200 : pattern));
    expect(
      Buffer.compare(Buffer.from(floatToHalf(halfToFloat(allPatterns)).buffer), Buffer.from(expected.buffer)),
    ).toBe(0);
  });

  test("rounds to nearest, ties to even, as a search over all halves does", () => {
    const finite = halfToFloat(allPatterns.slice(0, 0x7c00));
    const random = new RandomStream(1, "half");
    for (let i = 0; i < 300; i++) {
      const exact = finite[random.integer(3 * i, 0x7bff)]!;
      const next = finite[finite.indexOf(exact) + 1]!;
      const values = [(exact + next) / 2, exact + (next - exact) * random.uniform(3 * i + 1)];
      for (const value of values) {
        const rounded = Math.fround(value);
        expect(floatToHalf(Float32Array.of(rounded))[0], `${rounded}`).toBe(nearest(rounded, finite));
      }
    }
  });

  test("overflow starts halfway between the largest half and 65 536; tiny numbers become a signed zero", () => {
    expect([...floatToHalf(Float32Array.of(65519.99, 65520, -1e30))]).toEqual([0x7bff, 0x7c00, 0xfc00]);
    expect([...floatToHalf(Float32Array.of(2 ** -25, 2 ** -25 * 1.0001, -(2 ** -26)))]).toEqual([0, 1, 0x8000]);
  });
});

describe("bfloat16", () => {
  test("all 65 536 patterns come back, NaN quieted", () => {
    const expected = allPatterns.map((pattern) => ((pattern & 0x7fff) > 0x7f80 ? pattern | 0x40 : pattern));
    expect(
      Buffer.compare(Buffer.from(floatToBfloat(bfloatToFloat(allPatterns)).buffer), Buffer.from(expected.buffer)),
    ).toBe(0);
  });

  test("ties go to even, the largest floats overflow, a NaN with low bits only stays NaN", () => {
    expect(floatToBfloat(float(0x3f808000))[0]).toBe(0x3f80);
    expect(floatToBfloat(float(0x3f818000))[0]).toBe(0x3f82);
    expect(floatToBfloat(float(0x3f808001))[0]).toBe(0x3f81);
    expect(floatToBfloat(float(0x7f7fffff))[0]).toBe(0x7f80);
    expect(floatToBfloat(float(0xff800001))[0]).toBe(0xffc0);
  });
});
