import type { RandomStream } from "../../src/tensor/random.ts";

/** Random choices in a row: what input `i` does depends on (name, i) alone, so that a failure can be repeated. */
export class Draws {
  private readonly random: RandomStream;
  private index: number;

  constructor(random: RandomStream, input: number) {
    this.random = random;
    this.index = input * 256;
  }

  below(bound: number): number {
    return this.random.bits(this.index++) % bound;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Counts and sizes at the borders where parsers go wrong. */
export const BORDERS = [
  0n,
  1n,
  2n,
  255n,
  65_535n,
  65_537n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 32n,
].concat([2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]);

type Mutation = (bytes: Buffer, draws: Draws, seeds: readonly Uint8Array[]) => Buffer;

const span = (bytes: Buffer, draws: Draws): [start: number, end: number] => {
  const start = draws.below(bytes.length + 1);
  return [start, Math.min(bytes.length, start + draws.below(40))];
};

const MUTATIONS: readonly Mutation[] = [
  function flipBit(bytes, draws) {
    const at = draws.below(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << draws.below(8));
    return bytes;
  },
  function setByte(bytes, draws) {
    bytes[draws.below(bytes.length)] = draws.pick([
      0, 1, 0x20, 0x22, 0x2c, 0x30, 0x39, 0x5b, 0x5c, 0x7b, 0x7d, 0x7f, 0xff,
    ]);
    return bytes;
  },
  function truncate(bytes, draws) {
    return bytes.subarray(0, draws.below(bytes.length));
  },
  function remove(bytes, draws) {
    const [start, end] = span(bytes, draws);
    return Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]);
  },
  function repeat(bytes, draws) {
    const [start, end] = span(bytes, draws);
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(start)]);
  },
  function writeBorder(bytes, draws) {
    if (bytes.length < 8) return bytes;
    const value = draws.pick(BORDERS);
    if (draws.below(2) === 0) bytes.writeBigUInt64LE(value, draws.below(bytes.length - 7));
    else bytes.writeUInt32LE(Number(value & 0xffffffffn), draws.below(bytes.length - 3));
    return bytes;
  },
  function splice(bytes, draws, seeds) {
    const other = draws.pick(seeds);
    return Buffer.concat([bytes.subarray(0, draws.below(bytes.length)), other.subarray(draws.below(other.length))]);
  },
];

/** One to three changes to the bytes of a valid file, blind to its structure. */
export function mutateBytes(seed: Uint8Array, draws: Draws, seeds: readonly Uint8Array[]): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  for (let changes = 1 + draws.below(3); changes > 0 && bytes.length > 0; changes--) {
    bytes = draws.pick(MUTATIONS)(bytes, draws, seeds);
  }
  return bytes;
}
