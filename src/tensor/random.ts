import { createHash } from "node:crypto";

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** High and low 32 bits of an unsigned 32 x 32 bit product. */
function multiply(a: number, b: number): readonly [high: number, low: number] {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const low = aLow * bLow;
  const middle = aHigh * bLow + (low >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return [(aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0, Math.imul(a, b) >>> 0];
}

/**
 * Philox-4x32-10: four random words from a counter and a key, with no state to carry.
 *
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
): [number, number, number, number] {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [high0, low0] = multiply(MULTIPLIER_0, c0);
    const [high1, low1] = multiply(MULTIPLIER_1, c2);
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Two standard normals from two random words. */
function boxMuller(a: number, b: number): readonly [number, number] {
  const radius = Math.sqrt(-2 * Math.log((a + 1) / 2 ** 32));
  const angle = (2 * Math.PI * b) / 2 ** 32;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

/**
 * A named stream of random numbers: value i depends on (seed, name, i) alone, so a resumed run needs only i.
 *
 * @example
 * const order = new RandomStream(42, "data-order");
 * order.uniform(0); // always the same number in [0, 1)
 */
export class RandomStream {
  private readonly key: readonly [number, number];

  constructor(seed: number, name: string) {
    const digest = createHash("sha256").update(`${seed}\n${name}`).digest();
    this.key = [digest.readUInt32LE(0), digest.readUInt32LE(4)];
  }

  /** 32 random bits. */
  bits(index: number): number {
    return philox([index >>> 0, Math.floor(index / 2 ** 32), 0, 0], this.key)[0];
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(index: number): number {
    const [a, b] = philox([index >>> 0, Math.floor(index / 2 ** 32), 1, 0], this.key);
    return ((a >>> 5) * 67108864 + (b >>> 6)) / 9007199254740992;
  }

  /** Standard normal (Box-Muller). */
  normal(index: number): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform(2 * index)));
    return radius * Math.cos(2 * Math.PI * this.uniform(2 * index + 1));
  }

  /** `length` standard normals of its own, four from each block of bits: for tensors of many. */
  normals(length: number): Float32Array {
    const values = new Float32Array(length);
    for (let i = 0; i < length; i += 4) {
      const [a, b, c, d] = philox([(i / 4) >>> 0, 0, 2, 0], this.key);
      // Of the last block, places beyond the end take nothing.
      [values[i], values[i + 1]] = boxMuller(a, b);
      [values[i + 2], values[i + 3]] = boxMuller(c, d);
    }
    return values;
  }

  /** Integer in [0, bound). */
  integer(index: number, bound: number): number {
    return Math.floor(this.uniform(index) * bound);
  }

  /** The numbers 0 .. length-1 in random order (Fisher-Yates); `epoch` picks the permutation. */
  permutation(length: number, epoch = 0): Int32Array {
    const order = Int32Array.from({ length }, (_, i) => i);
    for (let i = length - 1; i > 0; i--) {
      const j = this.integer(epoch * 2 ** 31 + i, i + 1);
      [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
  }
}
