import { writeFileAtomic } from "./atomic-file.ts";
import type { Written } from "./encode-tensor.ts";
import { numberOfType } from "./gguf.ts";

const ALIGNMENT = 32;

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const f32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
};
const i32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};
const string = (value: string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
};

const pair =
  <T>(type: number, encode: (value: T) => Uint8Array) =>
  (key: string, value: T): Uint8Array =>
    Buffer.concat([string(key), u32(type), encode(value)]);
const ARRAY = 9;
const list = <T>(type: number, encode: (value: T) => Uint8Array) =>
  pair<readonly T[]>(ARRAY, (values) => Buffer.concat([u32(type), u64(values.length), ...values.map(encode)]));

/**
 * A key of a GGUF file with its value, by the value's type.
 *
 * @example
 * PAIR.text("general.architecture", "llama");
 */
export const PAIR = {
  u32: pair(4, u32),
  f32: pair(6, f32),
  bool: pair(7, (value: boolean) => Uint8Array.of(Number(value))),
  text: pair(8, string),
  i32s: list(5, i32),
  f32s: list(6, f32),
  texts: list(8, string),
} as const;

const aligned = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

/**
 * Writes a GGUF file (version 3) atomically, one tensor in memory at a time.
 *
 * @param pairs encoded keys and values, as `PAIR` makes them and `GgufFile.pair` reads them
 * @throws {BoosterError} as `writeFileAtomic`, and what making the tensors' bytes throws
 * @example
 * writeGguf("model.gguf", [PAIR.text("general.architecture", "llama")], new Map([["output_norm.weight", norm]]));
 */
export function writeGguf(path: string, pairs: readonly Uint8Array[], tensors: ReadonlyMap<string, Written>): void {
  writeFileAtomic(path, chunks(pairs, tensors));
}

function* chunks(pairs: readonly Uint8Array[], tensors: ReadonlyMap<string, Written>): Generator<Uint8Array> {
  let offset = 0;
  const infos = [...tensors].map(([name, { format, shape, size }]) => {
    const info = [
      string(name),
      u32(shape.length),
      ...shape.toReversed().map(u64),
      u32(numberOfType(format)),
      u64(offset),
    ];
    offset = aligned(offset + size);
    return Buffer.concat(info);
  });
  const head = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.size), u64(pairs.length), ...pairs, ...infos]);
  yield head;
  yield padding(head.length);
  for (const tensor of tensors.values()) {
    yield tensor.bytes();
    yield padding(tensor.size);
  }
}

const padding = (length: number): Uint8Array => new Uint8Array(aligned(length) - length);
