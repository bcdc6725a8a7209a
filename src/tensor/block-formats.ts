import { halfValue } from "./half.ts";

/**
 * Blocks taken apart: element i is `codes[i] * scales[g] + minima[g]`, g the group that it is in, the product and the sum each rounded to
 * float32. There are no `minima` where a format adds nothing.
 */
export interface Groups {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
  readonly minima: Float32Array | undefined;
}

/** A way in which ggml stores numbers of fewer bits: a row of `BLOCK_FORMATS`. */
export interface BlockFormat {
  /** Elements of a block. */
  readonly elements: number;
  /** Bytes of a block. */
  readonly bytes: number;
  /** Elements that share a scale, one behind the other. */
  readonly group: number;
  /** The least and the largest code. */
  readonly range: readonly [least: number, most: number];
  /** Whether something is added to each group. */
  readonly added: boolean;
  /** Takes the block at `at` apart: its codes are written from `code` on, its groups from `group` on. */
  unpack(bytes: Uint8Array, at: number, into: Groups, code: number, group: number): void;
}

const half = (bytes: Uint8Array, at: number): number =>
  halfValue((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
const signed = (byte: number): number => (byte << 24) >> 24;

/** Of 32 elements two share a byte: j the low four bits of byte j, j + 16 the high ones. */
function nibbles(
  bytes: Uint8Array,
  from: number,
  codes: Int8Array,
  to: number,
  codeOf: (nibble: number, element: number) => number,
): void {
  for (let i = 0; i < 16; i++) {
    const pair = bytes[from + i] as number;
    codes[to + i] = codeOf(pair & 15, i);
    codes[to + i + 16] = codeOf(pair >>> 4, i + 16);
  }
}

/** One group of 32 nibbles behind a float16 scale and what `header` holds: the minimum, fifth bits. */
const small = (
  range: BlockFormat["range"],
  { minimum = false, fifth = false, table }: { minimum?: boolean; fifth?: boolean; table?: readonly number[] } = {},
): BlockFormat => {
  const codesAt = 2 + (minimum ? 2 : 0) + (fifth ? 4 : 0);
  return {
    elements: 32,
    bytes: codesAt + 16,
    group: 32,
    range,
    added: minimum,
    unpack(bytes, at, { codes, scales, minima }, code, group) {
      scales[group] = half(bytes, at);
      if (minima !== undefined) minima[group] = half(bytes, at + 2);
      const bits = at + codesAt - 4;
      const high = (i: number) => (fifth ? (((bytes[bits + (i >>> 3)] as number) >>> (i & 7)) & 1) << 4 : 0);
      nibbles(bytes, at + codesAt, codes, code, (low, i) => table?.[low] ?? (low | high(i)) + range[0]);
    },
  };
};

/** Six bits each of scale and minimum of eight groups, in twelve bytes; times the block's own float16 scale and minimum. */
function sixBitPairs(bytes: Uint8Array, at: number, scales: Float32Array, minima: Float32Array, group: number): void {
  const [scale, minimum] = [half(bytes, at), half(bytes, at + 2)];
  const byte = (i: number) => bytes[at + 4 + i] as number;
  for (let i = 0; i < 8; i++) {
    const last = i < 4;
    scales[group + i] = scale * (last ? byte(i) & 63 : (byte(i + 4) & 15) | ((byte(i - 4) >>> 6) << 4));
    minima[group + i] = -minimum * (last ? byte(i + 4) & 63 : (byte(i + 4) >>> 4) | ((byte(i) >>> 6) << 4));
  }
}

/** Q4_K, and Q5_K with 32 bytes of fifth bits: bit g of byte l is that of element l of group g. */
const sixBitGroups = (fifth: boolean): BlockFormat => ({
  elements: 256,
  bytes: fifth ? 176 : 144,
  group: 32,
  range: [0, fifth ? 31 : 15],
  added: true,
  unpack(bytes, at, { codes, scales, minima }, code, group) {
    sixBitPairs(bytes, at, scales, minima as Float32Array, group);
    const from = at + (fifth ? 48 : 16);
    for (let i = 0; i < 256; i++) {
      const [g, l] = [i >>> 5, i & 31];
      const low = ((bytes[from + 32 * (g >>> 1) + l] as number) >>> (4 * (g & 1))) & 15;
      codes[code + i] = fifth ? low | ((((bytes[at + 16 + l] as number) >>> g) & 1) << 4) : low;
    }
  },
});

/** Two bits of element i of 256: each byte holds those of four elements that are 32 apart. */
const twoBits = (bytes: Uint8Array, from: number, i: number): number =>
  ((bytes[from + 32 * (i >>> 7) + (i & 31)] as number) >>> (2 * ((i >>> 5) & 3))) & 3;

const q2K: BlockFormat = {
  elements: 256,
  bytes: 84,
  group: 16,
  range: [0, 3],
  added: true,
  unpack(bytes, at, { codes, scales, minima }, code, group) {
    const [scale, minimum] = [half(bytes, at + 80), half(bytes, at + 82)];
    for (let g = 0; g < 16; g++) {
      const pair = bytes[at + g] as number;
      scales[group + g] = scale * (pair & 15);
      (minima as Float32Array)[group + g] = -minimum * (pair >>> 4);
    }
    for (let i = 0; i < 256; i++) codes[code + i] = twoBits(bytes, at + 16, i);
  },
};

const q3K: BlockFormat = {
  elements: 256,
  bytes: 110,
  group: 16,
  range: [-4, 3],
  added: false,
  unpack(bytes, at, { codes, scales }, code, group) {
    const scale = half(bytes, at + 108);
    const byte = (i: number) => bytes[at + 96 + i] as number;
    for (let g = 0; g < 16; g++) {
      const low = g < 8 ? byte(g) & 15 : byte(g - 8) >>> 4;
      scales[group + g] = scale * ((low | (((byte(8 + (g & 3)) >>> (2 * (g >>> 2))) & 3) << 4)) - 32);
    }
    for (let i = 0; i < 256; i++) {
      const high = ((bytes[at + (i & 31)] as number) >>> (i >>> 5)) & 1;
      codes[code + i] = (twoBits(bytes, at + 32, i) | (high << 2)) - 4;
    }
  },
};

const q6K: BlockFormat = {
  elements: 256,
  bytes: 210,
  group: 16,
  range: [-32, 31],
  added: false,
  unpack(bytes, at, { codes, scales }, code, group) {
    const scale = half(bytes, at + 208);
    for (let g = 0; g < 16; g++) scales[group + g] = scale * signed(bytes[at + 192 + g] as number);
    for (let i = 0; i < 256; i++) {
      const low = (bytes[at + 64 * (i >>> 7) + (i & 63)] as number) >>> (4 * ((i >>> 6) & 1));
      codes[code + i] = ((low & 15) | (twoBits(bytes, at + 128, i) << 4)) - 32;
    }
  },
};

const IQ4_VALUES = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

const iq4XS: BlockFormat = {
  elements: 256,
  bytes: 136,
  group: 32,
  range: [-127, 113],
  added: false,
  unpack(bytes, at, { codes, scales }, code, group) {
    const scale = half(bytes, at);
    const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8);
    for (let g = 0; g < 8; g++) {
      const low = ((bytes[at + 4 + (g >>> 1)] as number) >>> (4 * (g & 1))) & 15;
      scales[group + g] = scale * ((low | (((high >>> (2 * g)) & 3) << 4)) - 32);
      nibbles(bytes, at + 8 + 16 * g, codes, code + 32 * g, (nibble) => IQ4_VALUES[nibble] as number);
    }
  },
};

/** Twice the values of a four-bit float of two exponent bits and one of mantissa. */
const E2M1_VALUES = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

const mxfp4: BlockFormat = {
  elements: 32,
  bytes: 17,
  group: 32,
  range: [-12, 12],
  added: false,
  unpack(bytes, at, { codes, scales }, code, group) {
    // The scale is a power of two alone, and halved for the doubled values.
    scales[group] = 2 ** ((bytes[at] as number) - 128);
    nibbles(bytes, at + 1, codes, code, (nibble) => E2M1_VALUES[nibble] as number);
  },
};

const q8: BlockFormat = {
  elements: 32,
  bytes: 34,
  group: 32,
  range: [-128, 127],
  added: false,
  unpack(bytes, at, { codes, scales }, code, group) {
    scales[group] = half(bytes, at);
    for (let i = 0; i < 32; i++) codes[code + i] = signed(bytes[at + 2 + i] as number);
  },
};

/**
 * Every block format of ggml that is read: all of them are whole numbers of at most eight bits times a scale of their group, plus, in some,
 * a minimum of it. Scales and minima are exact in float32, and so are the products but where a scale is at the end of float32's range.
 *
 * A new one is a row here and, where files hold it, its number in `formats/gguf.ts`.
 *
 * Source: ggml's block structures (`ggml-common.h`) and their reference rows in `ggml-quants.c`.
 */
export const BLOCK_FORMATS = {
  Q4_0: small([-8, 7]),
  Q4_1: small([0, 15], { minimum: true }),
  Q5_0: small([-16, 15], { fifth: true }),
  Q5_1: small([0, 31], { minimum: true, fifth: true }),
  Q8_0: q8,
  Q2_K: q2K,
  Q3_K: q3K,
  Q4_K: sixBitGroups(false),
  Q5_K: sixBitGroups(true),
  Q6_K: q6K,
  IQ4_NL: small([-127, 113], { table: IQ4_VALUES }),
  IQ4_XS: iq4XS,
  MXFP4: mxfp4,
} as const satisfies Readonly<Record<string, BlockFormat>>;

export type BlockFormatName = keyof typeof BLOCK_FORMATS;
