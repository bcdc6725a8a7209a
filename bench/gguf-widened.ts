import { closeSync, openSync, writeSync } from "node:fs";
import { fileSource } from "../src/formats/byte-source.ts";
import { openGguf } from "../src/formats/gguf.ts";
import { GgufCursor } from "../src/formats/gguf-cursor.ts";
import { readMetadata } from "../src/formats/gguf-metadata.ts";
import { floatToHalf } from "../src/tensor/half.ts";

export type WideFormat = "F16" | "F32";

const TYPE_NUMBER: Readonly<Record<WideFormat, number>> = { F32: 0, F16: 1 };
const ALIGNMENT = 32;
/** Vocabularies and merges are most of a header. */
const MAX_HEADER_BYTES = 128 * 2 ** 20;

const aligned = (at: number): number => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

/**
 * Writes a copy of a quantised GGUF file with its weights in F16 or F32, for the benchmark alone: llama.cpp then computes
 * with the same weights as ours. Metadata is copied byte for byte, tensors keep llama.cpp's names and row order, and those of
 * one dimension stay F32, as llama.cpp's own converter leaves them.
 */
export function writeWidened(from: string, to: string, format: WideFormat): void {
  const source = openGguf(from);
  const infos: Buffer[] = [];
  let offset = 0;
  const formatOf = (shape: readonly number[]): WideFormat => (shape.length > 1 ? format : "F32");
  for (const [name, { shape }] of source.entries) {
    infos.push(tensorInfo(name, shape, TYPE_NUMBER[formatOf(shape)], offset));
    offset = aligned(offset + shape.reduce((a, b) => a * b, 1) * (formatOf(shape) === "F16" ? 2 : 4));
  }
  const file = openSync(to, "w");
  const head = Buffer.concat([readHead(from), ...infos]);
  const dataStart = aligned(head.length);
  try {
    writeSync(file, head, 0, head.length, 0);
    let at = dataStart;
    for (const [name, { shape }] of source.entries) {
      const { data } = source.load(name);
      const values = formatOf(shape) === "F16" ? floatToHalf(data) : data;
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
