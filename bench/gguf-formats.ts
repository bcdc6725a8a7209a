import { closeSync, openSync, writeSync } from "node:fs";
import { fileSource } from "../src/formats/byte-source.ts";
import { openGguf } from "../src/formats/gguf.ts";
import { GgufCursor } from "../src/formats/gguf-cursor.ts";
import { readMetadata } from "../src/formats/gguf-metadata.ts";
import { floatToHalf } from "../src/tensor/half.ts";
import { quantiseQ8 } from "../src/tensor/quantised.ts";

const BLOCK = 32;

/** Blocks of 32: `d = x / -8` for the x of largest size, as float16, and codes `round(x / d) + 8`, element i beside element i + 16. */
function quantiseQ4(data: Float32Array): Uint8Array {
  const bytes = new Uint8Array((data.length / BLOCK) * 18);
  for (let block = 0; block < data.length / BLOCK; block++) {
    const values = data.subarray(block * BLOCK, (block + 1) * BLOCK);
    const scale = values.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0) / -8;
    const half = floatToHalf(Float32Array.of(scale)) as Uint16Array;
    const code = (i: number) => (scale === 0 ? 8 : Math.min(15, Math.round((values[i] as number) / scale) + 8));
    bytes.set([(half[0] as number) & 255, (half[0] as number) >> 8], block * 18);
    for (let i = 0; i < 16; i++) bytes[block * 18 + 2 + i] = code(i) | (code(i + 16) << 4);
  }
  return bytes;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Number of the type in a file, bytes of 32 elements, and what makes bytes of numbers. */
const TYPES = {
  F32: { number: 0, bytes: 128, encode: bytesOf },
  Q8_0: { number: 8, bytes: 34, encode: quantiseQ8 },
  Q4_0: { number: 2, bytes: 18, encode: quantiseQ4 },
} as const;
export type BenchFormat = keyof typeof TYPES;
const ALIGNMENT = 32;
/** Vocabularies and merges are most of a header. */
const MAX_HEADER_BYTES = 128 * 2 ** 20;

const aligned = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

/**
 * Writes a copy of a GGUF file with its matrices in another format, for the benchmark alone: both sides then read the same file.
 * Metadata is copied byte for byte, tensors keep llama.cpp's names and row order, and those of
 * one dimension are F32, as llama.cpp's own converter leaves them.
 */
export function writeInFormat(from: string, to: string, format: BenchFormat): void {
  const source = openGguf(from);
  const infos: Buffer[] = [];
  let offset = 0;
  const typeOf = (shape: readonly number[]) => TYPES[shape.length > 1 ? format : "F32"];
  for (const [name, { shape }] of source.entries) {
    infos.push(tensorInfo(name, shape, typeOf(shape).number, offset));
    offset = aligned(offset + (shape.reduce((a, b) => a * b, 1) / BLOCK) * typeOf(shape).bytes);
  }
  const file = openSync(to, "w");
  const head = Buffer.concat([readHead(from), ...infos]);
  const dataStart = aligned(head.length);
  try {
    writeSync(file, head, 0, head.length, 0);
    let at = dataStart;
    for (const [name, { shape }] of source.entries) {
      const values = typeOf(shape).encode(source.load(name).data);
      writeSync(file, values, 0, values.byteLength, at);
      at = aligned(at + values.byteLength);
    }
  } finally {
    closeSync(file);
  }
}

/** Magic, version, counts and metadata as they are, up to the tensor infos. The file is sound: `openGguf` has read it. */
function readHead(path: string): Uint8Array {
  const source = fileSource(path);
  const cursor = new GgufCursor(source, MAX_HEADER_BYTES);
  // Magic and version, and the tensor count.
  for (let skipped = 0; skipped < 2; skipped++) cursor.size();
  readMetadata(cursor, cursor.size(), path);
  const head = new Uint8Array(cursor.position);
  source.readInto(0, head);
  return head;
}

function tensorInfo(name: string, shape: readonly number[], type: number, offset: number): Buffer {
  const text = Buffer.from(name);
  const info = Buffer.alloc(8 + text.length + 4 + 8 * shape.length + 4 + 8);
  let at = info.writeBigUInt64LE(BigInt(text.length));
  at += text.copy(info, at);
  at = info.writeUInt32LE(shape.length, at);
  for (const dim of [...shape].reverse()) at = info.writeBigUInt64LE(BigInt(dim), at);
  at = info.writeUInt32LE(type, at);
  info.writeBigUInt64LE(BigInt(offset), at);
  return info;
}
