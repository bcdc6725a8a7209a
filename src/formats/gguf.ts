import type { ErrorCode } from "../error-codes.ts";
import { BoosterError } from "../errors.ts";
import { bfloatToFloat, halfToFloat } from "../tensor/half.ts";
import { BLOCK_BYTES, BLOCK_ELEMENTS, type BlockFormat, dequantise } from "../tensor/quantised.ts";
import { type HostTensor, sizeOf } from "../tensor/tensor.ts";
import { type ByteSource, bytesSource, fileSource } from "./byte-source.ts";
import { GgufCursor } from "./gguf-cursor.ts";

/** Vocabularies of 262 144 tokens with merges take about 20 MB. */
const MAX_HEADER_BYTES = 128 * 2 ** 20;
/** Real files have about 40 keys. */
const MAX_KEYS = 65_536;
/** As for safetensors. */
const MAX_TENSORS = 100_000;
/** Elements of all arrays together: three lists (tokens, types, merges) of the largest vocabularies, four times over. */
const MAX_ARRAY_ELEMENTS = 4_000_000;
/** The format's own limit. */
const MAX_KEY_BYTES = 65_535;
/** ggml keeps names in 64 bytes (128 in some builds). */
const MAX_NAME_BYTES = 128;
/** Chat templates and licences are the longest values; whole licences appear. */
const MAX_STRING_BYTES = 4 * 2 ** 20;
/** No known key nests arrays at all. */
const MAX_ARRAY_DEPTH = 4;
/** ggml's `GGML_MAX_DIMS`. */
const MAX_RANK = 4;
/** Beyond any real dimension; the product is checked apart. */
const MAX_DIM = 2 ** 32;
const DEFAULT_ALIGNMENT = 32;
/** A page is the largest alignment with a purpose; two megabytes are a huge page. */
const MAX_ALIGNMENT = 2 ** 21;

const MAGIC = 0x46554747;

interface Format {
  readonly name: string;
  readonly blockElements: number;
  readonly blockBytes: number;
}

const block = (name: BlockFormat): Format => ({ name, blockElements: BLOCK_ELEMENTS, blockBytes: BLOCK_BYTES[name] });

/** ggml's type numbers. */
const FORMATS: Readonly<Record<number, Format>> = {
  0: { name: "F32", blockElements: 1, blockBytes: 4 },
  1: { name: "F16", blockElements: 1, blockBytes: 2 },
  2: block("Q4_0"),
  3: block("Q4_1"),
  8: block("Q8_0"),
  30: { name: "BF16", blockElements: 1, blockBytes: 2 },
};

/** A metadata value; 64-bit integers are numbers where a number holds them exactly. */
export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

/** One tensor: row-major shape (the file lists dimensions the other way round), and where its bytes lie in the file. */
export interface GgufTensor {
  readonly format: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** An opened GGUF file: header checked, tensors read one by one. */
export interface GgufFile {
  readonly where: string;
  readonly version: number;
  /** Has no prototype, so that any key is just a key. */
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Widened to float32. @throws {BoosterError} `TENSOR_NOT_FOUND`, `FILE_CHANGED`. */
  load(name: string): HostTensor<"float32">;
}

/**
 * Opens a GGUF file (version 2 or 3, little endian): reads and checks its header only.
 *
 *     file = "GGUF", version u32, tensor count u64, key count u64, keys, tensor infos, padding, data
 *
 * Tensors of types F32, F16, BF16, Q8_0, Q4_0 and Q4_1 are widened to float32. The parser is our own because
 * @huggingface/gguf 0.4.6, made for files behind URLs, is asynchronous, leaves extents, overlaps, alignment and duplicate
 * names to its caller, and took about 2 ms for a header of three tensors: too long for 200 000 fuzz inputs.
 *
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; like llama.cpp, offsets must follow each other with
 * nothing but alignment between them.
 *
 * @throws {BoosterError} `GGUF_MAGIC`, `GGUF_VERSION_UNSUPPORTED`, `GGUF_TRUNCATED`, `GGUF_TOO_MANY_KEYS`,
 *   `GGUF_TOO_MANY_TENSORS`, `GGUF_STRING_TOO_LONG`, `GGUF_ARRAY_TOO_LONG`, `GGUF_VALUE_INVALID`, `GGUF_DUPLICATE_NAME`,
 *   `GGUF_ALIGNMENT_INVALID`, `GGUF_SHAPE_INVALID`, `GGUF_DTYPE_UNSUPPORTED`, `GGUF_OFFSET_INVALID`, and the `FILE_*`
 *   codes of `fileSource`.
 * @example
 * const embedding = openGguf("model.gguf").load("token_embd.weight");
 */
export const openGguf = (path: string): GgufFile => openSource(fileSource(path));

/** A GGUF file in memory; `where` names it in errors. @throws {BoosterError} as `openGguf`. */
export const parseGguf = (bytes: Uint8Array, where: string): GgufFile => openSource(bytesSource(bytes, where));

function openSource(source: ByteSource): GgufFile {
  const { where } = source;
  const cursor = new GgufCursor(source, MAX_HEADER_BYTES);
  if (cursor.u32() !== MAGIC) throw new BoosterError("GGUF_MAGIC", "this is no GGUF file", { where });
  const version = cursor.u32();
  if (version !== 2 && version !== 3) {
    throw new BoosterError("GGUF_VERSION_UNSUPPORTED", "this version or byte order is not read", {
      expected: "version 2 or 3, little endian",
      found: `${version}`,
      where,
    });
  }
  const tensorCount = cursor.size();
  const keyCount = cursor.size();
  if (tensorCount > MAX_TENSORS) throw tooMany("GGUF_TOO_MANY_TENSORS", "tensors", MAX_TENSORS, tensorCount, where);
  if (keyCount > MAX_KEYS) throw tooMany("GGUF_TOO_MANY_KEYS", "metadata keys", MAX_KEYS, keyCount, where);
  const metadata = readMetadata(cursor, keyCount, where);
  const alignment = alignmentOf(metadata, where);
  const tensors = readTensors(cursor, tensorCount, alignment, source);
  return {
    where,
    version,
    metadata,
    tensors,
    load(name) {
      const tensor = tensors.get(name);
      if (tensor === undefined) {
        throw new BoosterError("TENSOR_NOT_FOUND", "the file has no such tensor", { found: name, where });
      }
      return loadTensor(source, tensor);
    },
  };
}

const tooMany = (code: ErrorCode, what: string, limit: number, found: number, where: string): BoosterError =>
  new BoosterError(code, `the file has too many ${what}`, { expected: `at most ${limit}`, found: `${found}`, where });

function readMetadata(cursor: GgufCursor, count: number, where: string): Record<string, GgufValue> {
  const metadata: Record<string, GgufValue> = Object.create(null);
  const budget = { elements: MAX_ARRAY_ELEMENTS };
  for (let i = 0; i < count; i++) {
    const key = cursor.text(MAX_KEY_BYTES, "key");
    if (key in metadata) throw duplicate(key, where);
    metadata[key] = readValue(cursor, cursor.u32(), 0, budget, `${where}: key ${key.slice(0, 80)}`);
  }
  return metadata;
}

const exact = (value: bigint): number | bigint => (BigInt.asIntN(54, value) === value ? Number(value) : value);

/** Readers of the scalar types, by the format's type number; 9 is an array. */
const SCALARS: readonly (((cursor: GgufCursor, where: string) => GgufValue) | undefined)[] = [
  (cursor) => cursor.u8(),
  (cursor) => cursor.i8(),
  (cursor) => cursor.u16(),
  (cursor) => cursor.i16(),
  (cursor) => cursor.u32(),
  (cursor) => cursor.i32(),
  (cursor) => cursor.f32(),
  readBoolean,
  (cursor) => cursor.text(MAX_STRING_BYTES, "string"),
  undefined,
  (cursor) => exact(cursor.u64()),
  (cursor) => exact(cursor.i64()),
  (cursor) => cursor.f64(),
];
const ARRAY = 9;
/** Bytes of the smallest value of each type, so that a count can be checked before its array is built. */
const LEAST_BYTES = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];

function readBoolean(cursor: GgufCursor, where: string): boolean {
  const value = cursor.u8();
  if (value > 1) throw invalidValue("a boolean is neither 0 nor 1", `${value}`, where);
  return value === 1;
}

function readValue(
  cursor: GgufCursor,
  type: number,
  depth: number,
  budget: { elements: number },
  where: string,
): GgufValue {
  if (type !== ARRAY) {
    const read = SCALARS[type];
    if (read === undefined) throw invalidValue("there is no such value type", `${type}`, where);
    return read(cursor, where);
  }
  if (depth === MAX_ARRAY_DEPTH) throw invalidValue("arrays are nested too deeply", `${depth + 1} levels`, where);
  const itemType = cursor.u32();
  const length = cursor.size();
  budget.elements -= length;
  if (budget.elements < 0 || length * (LEAST_BYTES[itemType] ?? 1) > cursor.remaining) {
    throw new BoosterError("GGUF_ARRAY_TOO_LONG", "an array is longer than the file or than allowed", {
      expected: `at most ${MAX_ARRAY_ELEMENTS} elements in all arrays, ${cursor.remaining} bytes`,
      found: `${length} elements`,
      where,
    });
  }
  const items: GgufValue[] = [];
  for (let i = 0; i < length; i++) items.push(readValue(cursor, itemType, depth + 1, budget, where));
  return items;
}

const invalidValue = (problem: string, found: string, where: string): BoosterError =>
  new BoosterError("GGUF_VALUE_INVALID", problem, { found, where });

const duplicate = (name: string, where: string): BoosterError =>
  new BoosterError("GGUF_DUPLICATE_NAME", "a key or tensor is given twice", { found: name.slice(0, 80), where });

function alignmentOf(metadata: Readonly<Record<string, GgufValue>>, where: string): number {
  const value = metadata["general.alignment"] ?? DEFAULT_ALIGNMENT;
  if (typeof value === "number" && value >= 8 && value <= MAX_ALIGNMENT && Number.isInteger(Math.log2(value))) {
    return value;
  }
  throw new BoosterError("GGUF_ALIGNMENT_INVALID", "general.alignment cannot be used", {
    expected: `a power of two from 8 to ${MAX_ALIGNMENT}`,
    found: String(value).slice(0, 40),
    where,
  });
}

function readTensors(
  cursor: GgufCursor,
  count: number,
  alignment: number,
  source: ByteSource,
): Map<string, GgufTensor> {
  const relative: [name: string, info: GgufTensor][] = [];
  for (let i = 0; i < count; i++) relative.push(readTensor(cursor, source.where));
  const align = (position: number): number => Math.ceil(position / alignment) * alignment;
  const dataStart = align(cursor.position);
  relative.sort(([, a], [, b]) => a.begin - b.begin);
  const tensors = new Map<string, GgufTensor>();
  let expected = 0;
  for (const [name, info] of relative) {
    if (tensors.has(name)) throw duplicate(name, source.where);
    const where = `${source.where}: tensor ${name}`;
    if (info.begin !== expected) {
      throw new BoosterError("GGUF_OFFSET_INVALID", "tensors overlap, leave a hole or are not aligned", {
        expected: `offset ${expected}`,
        found: `${info.begin}`,
        where,
      });
    }
    const end = dataStart + info.end;
    if (end > source.size) {
      throw new BoosterError("GGUF_TRUNCATED", "the data is cut off", {
        expected: `${end} bytes`,
        found: `${source.size}`,
        where,
        hint: "Download or copy it again",
      });
    }
    tensors.set(name, { ...info, begin: dataStart + info.begin, end });
    expected = align(info.end);
  }
  return tensors;
}

/** One tensor info, its extent counted from the start of the data. */
function readTensor(cursor: GgufCursor, where: string): [name: string, info: GgufTensor] {
  const name = cursor.text(MAX_NAME_BYTES, "tensor name");
  const place = `${where}: tensor ${name}`;
  const rank = cursor.u32();
  if (rank > MAX_RANK) throw invalidShape(`at most ${MAX_RANK} dimensions`, `${rank}`, place);
  const dims = Array.from({ length: rank }, () => cursor.size());
  const number = cursor.u32();
  const format = FORMATS[number];
  if (format === undefined) {
    throw new BoosterError("GGUF_DTYPE_UNSUPPORTED", "this tensor type is not read", {
      expected: Object.values(FORMATS)
        .map(({ name }) => name)
        .join(", "),
      found: `ggml type ${number}`,
      where: place,
      hint: "Use the same model in one of these types (Q8_0 is the usual choice) or its Hugging Face folder",
    });
  }
  const begin = cursor.size();
  const row = dims[0] ?? 1;
  const bytes = (sizeOf(dims) / format.blockElements) * format.blockBytes;
  if (dims.some((dim) => dim < 1 || dim > MAX_DIM) || row % format.blockElements !== 0 || !isSafe(bytes)) {
    throw invalidShape(
      `dimensions from 1 to 2^32, rows of whole blocks of ${format.blockElements}`,
      `[${dims}]`,
      place,
    );
  }
  if (!isSafe(begin + bytes)) {
    throw new BoosterError("GGUF_OFFSET_INVALID", "the offset is too large", { found: `${begin}`, where: place });
  }
  return [name, { format: format.name, shape: dims.reverse(), begin, end: begin + bytes }];
}

const isSafe = (value: number): boolean => Number.isSafeInteger(value);

const invalidShape = (expected: string, found: string, where: string): BoosterError =>
  new BoosterError("GGUF_SHAPE_INVALID", "the tensor's dimensions cannot be used", { expected, found, where });

function loadTensor(source: ByteSource, { format, shape, begin, end }: GgufTensor): HostTensor<"float32"> {
  const bytes = new Uint8Array(end - begin);
  source.readInto(begin, bytes);
  return { dtype: "float32", shape, data: widen(format, bytes) };
}

function widen(format: string, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  switch (format) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F16":
      return halfToFloat(new Uint16Array(bytes.buffer));
    case "BF16":
      return bfloatToFloat(new Uint16Array(bytes.buffer));
    default:
      return dequantise(format as BlockFormat, bytes);
  }
}
