/** For each of the 65 536 float16 patterns, the float32 pattern of the same value. */
let halfTable: Uint32Array<ArrayBuffer> | undefined;
/** The same bytes as numbers. */
let halfValues: Float32Array | undefined;

function buildHalfTable(): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(65536);
  const value = new Float32Array(1);
  const bits = new Uint32Array(value.buffer);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 0x1f;
    const mantissa = half & 0x3ff;
    if (exponent === 0) {
      value[0] = mantissa * 2 ** -24;
      table[half] = bits[0]! | sign;
    } else {
      const widened = exponent === 31 ? 0xff : exponent + 112;
      table[half] = sign | (widened << 23) | (mantissa << 13);
    }
  }
  return table;
}

const bitsOf = (values: Float32Array): Uint32Array => new Uint32Array(values.buffer, values.byteOffset, values.length);

/**
 * Widens IEEE 754 binary16 bit patterns to float32, exactly (NaN payloads included).
 *
 * @example
 * halfToFloat(Uint16Array.of(0x3c00, 0xc000)); // [1, -2]
 */
export function halfToFloat(halves: Uint16Array): Float32Array {
  halfTable ??= buildHalfTable();
  const values = new Float32Array(halves.length);
  const bits = bitsOf(values);
  for (let i = 0; i < halves.length; i++) bits[i] = halfTable[halves[i]!]!;
  return values;
}

/** The number that one binary16 bit pattern stands for. */
export function halfValue(half: number): number {
  halfTable ??= buildHalfTable();
  halfValues ??= new Float32Array(halfTable.buffer);
  return halfValues[half] as number;
}

/**
 * Rounds float32 to IEEE 754 binary16, to nearest, ties to even; above 65 504 to infinity, NaN stays a quiet NaN.
 *
 * @example
 * floatToHalf(Float32Array.of(1, -2)); // [0x3c00, 0xc000]
 */
export function floatToHalf(values: Float32Array): Uint16Array {
  const bits = bitsOf(values);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) halves[i] = roundToHalf(bits[i]!);
  return halves;
}

function roundToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  // At least 2^-14: a normal half. Moving the exponent's bias and rounding may carry into the exponent, as it should.
  if (magnitude >= 0x38800000) {
    const rebiased = magnitude - 0x38000000;
    return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13);
  }
  const exponent = magnitude >>> 23;
  // Below 2^-25, half of the smallest subnormal: zero. (At 2^-25 itself the tie goes to the even zero.)
  if (exponent < 102) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - exponent;
  const rest = mantissa & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  const floor = mantissa >>> shift;
  return sign | (rest > tie || (rest === tie && (floor & 1) === 1) ? floor + 1 : floor);
}

/**
 * Widens bfloat16 bit patterns (the upper half of a float32) to float32, exactly.
 *
 * @example
 * bfloatToFloat(Uint16Array.of(0x3f80)); // [1]
 */
export function bfloatToFloat(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const bits = bitsOf(values);
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16;
  return values;
}

/**
 * Rounds float32 to bfloat16, to nearest, ties to even; NaN stays a quiet NaN.
 *
 * @example
 * floatToBfloat(Float32Array.of(1)); // [0x3f80]
 */
export function floatToBfloat(values: Float32Array): Uint16Array {
  const bits = bitsOf(values);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    const isNan = (word & 0x7fffffff) > 0x7f800000;
    halves[i] = isNan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}
