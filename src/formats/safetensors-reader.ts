import { atMost, BoosterError } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { type ByteSource, bytesSource, fileSource } from "./byte-source.ts";
import { decodeStrictJson, isObject, type JsonLimits } from "./strict-json.ts";
import { FORMATS, type FormatName, type StoredTensor, type TensorFile, tensorFile } from "./tensor-file.ts";

/** The format's own limit: a reader must not be made to allocate more because of eight bytes. */
export const MAX_HEADER_BYTES = 100_000_000;
/** A 100 B parameter model has about 2 000; room for mixtures of experts and adapters of every layer. */
export const MAX_TENSORS = 100_000;
/** Names are used in messages and as keys; the longest real ones have about 150 bytes. */
export const MAX_NAME_BYTES = 512;
/** Weights have at most 5 dimensions. */
export const MAX_RANK = 8;
/** Beyond any real dimension; with `MAX_RANK` it keeps messages and products sane. */
export const MAX_DIM = 2 ** 32;

/** root, tensor, shape. Each tensor has about 3 keys, 2 offsets and its dimensions. */
const HEADER_LIMITS: JsonLimits = { depth: 3, values: 16 * MAX_TENSORS, naturalsOnly: true };

/** Element types that safetensors files hold; not all of them can be loaded. */
const DTYPES: readonly string[] =
  "F64 F32 F16 BF16 F8_E4M3 F8_E5M2 F8_E8M0 F6_E2M3 F6_E3M2 F4 C64 I64 I32 I16 I8 U64 U32 U16 U8 BOOL".split(" ");

/** An opened safetensors file. */
export interface SafetensorsFile extends TensorFile {
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Opens a safetensors file: reads and checks its header only.
 *
 *     file = 8 bytes n (uint64, little endian), n bytes JSON header, data
 *     header = { "__metadata__"?: {string: string}, name: { dtype, shape, data_offsets: [begin, end] } ... }
 *
 * The tensors must fill the data without holes or overlaps. Source: https://github.com/huggingface/safetensors
 * (format section of its README, and `validate` in its Rust reader); names, dimensions and types are limited further here.
 *
 * @throws {BoosterError} `SAFETENSORS_HEADER_TOO_LARGE`, `SAFETENSORS_TRUNCATED`, `SAFETENSORS_HEADER_INVALID`,
 *   `SAFETENSORS_METADATA_INVALID`, `SAFETENSORS_TOO_MANY_TENSORS`, `SAFETENSORS_NAME_INVALID`, `SAFETENSORS_DTYPE_UNSUPPORTED`,
 *   `SAFETENSORS_SHAPE_INVALID`, `SAFETENSORS_SIZE_MISMATCH`, `SAFETENSORS_OVERLAP`, `SAFETENSORS_HOLE`, `SAFETENSORS_TRAILING_BYTES`,
 *   the `JSON_*` codes of `parseStrictJson` and the `FILE_*` codes of `fileSource`.
 * @example
 * const weight = openSafetensors("model.safetensors").load("lm_head.weight");
 */
export const openSafetensors = (path: string): SafetensorsFile => openSource(fileSource(path));

/** All tensors of a file, read one after another straight into their arrays. @throws {BoosterError} as `openSafetensors`. */
export const readSafetensors = (path: string): Map<string, HostTensor> => loadAll(openSafetensors(path));

/** All tensors of a file in memory (copies); `where` names it in errors. @throws {BoosterError} as `openSafetensors`. */
export const parseSafetensors = (bytes: Uint8Array, where: string): Map<string, HostTensor> =>
  loadAll(openSource(bytesSource(bytes, where)));

function loadAll(file: SafetensorsFile): Map<string, HostTensor> {
  return new Map([...file.entries.keys()].map((name) => [name, file.load(name)]));
}

function openSource(source: ByteSource): SafetensorsFile {
  const { metadata, entries } = readHeader(source);
  return { ...tensorFile(source, entries), metadata };
}

function readHeader(source: ByteSource): Pick<SafetensorsFile, "metadata" | "entries"> {
  const { where, size } = source;
  if (size < 8) throw truncated("8 bytes of header length", `${size} bytes`, where);
  const prefix = new Uint8Array(8);
  source.readInto(0, prefix);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  atMost(
    MAX_HEADER_BYTES,
    "bytes",
    length,
    "SAFETENSORS_HEADER_TOO_LARGE",
    "the header is longer than the format allows",
    {
      where,
      hint: "Most likely this is no safetensors file",
    },
  );
  const dataStart = 8 + Number(length);
  if (dataStart > size) throw truncated(`a header of ${length} bytes`, `${size - 8} bytes after its length`, where);
  const bytes = new Uint8Array(Number(length));
  source.readInto(8, bytes);
  // Other formats (zip, pickle, HTML) must not pass as a header: the first byte is fixed.
  if (bytes[0] !== 0x7b) throw invalid("the header does not start with '{'", where);
  const header = decodeStrictJson(bytes, `${where}: header`, HEADER_LIMITS) as Record<string, unknown>;
  const names = Object.keys(header).filter((name) => name !== "__metadata__");
  const tooMany = "the file has too many tensors";
  atMost(MAX_TENSORS, "", names.length, "SAFETENSORS_TOO_MANY_TENSORS", tooMany, { where });
  const listed = names.map((name) => [name, readEntry(name, header[name], dataStart, where)] as const);
  listed.sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  checkLayout(listed, dataStart, size, where);
  return { metadata: readMetadata(header, where), entries: new Map(listed) };
}

function readMetadata(header: Record<string, unknown>, where: string): Map<string, string> {
  if (!Object.hasOwn(header, "__metadata__")) return new Map();
  const metadata = header.__metadata__;
  if (metadata === null) return new Map();
  if (isObject(metadata) && Object.values(metadata).every((value) => typeof value === "string")) {
    return new Map(Object.entries(metadata as Record<string, string>));
  }
  throw new BoosterError("SAFETENSORS_METADATA_INVALID", "__metadata__ must map strings to strings", { where });
}

function readEntry(name: string, value: unknown, dataStart: number, where: string): StoredTensor {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES || /[\ud800-\udfff]/u.test(name)) {
    throw new BoosterError("SAFETENSORS_NAME_INVALID", "a tensor's name is too long or not valid Unicode", {
      expected: `at most ${MAX_NAME_BYTES} bytes`,
      found: `${name.slice(0, 60)}...`,
      where,
    });
  }
  const place = `${where}: tensor ${name}`;
  const { dtype, shape, data_offsets: offsets } = (isObject(value) ? value : {}) as Record<string, unknown>;
  if (typeof dtype !== "string" || !isNaturals(shape) || !isNaturals(offsets) || offsets.length !== 2) {
    throw invalid("an entry needs dtype, shape and data_offsets as whole numbers", place);
  }
  if (!DTYPES.includes(dtype)) {
    throw new BoosterError("SAFETENSORS_DTYPE_UNSUPPORTED", "this element type is not read", {
      expected: DTYPES.join(", "),
      found: dtype.slice(0, 60),
      where: place,
    });
  }
  const [begin, end] = offsets as [number, number];
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end)) throw invalid("data_offsets are too large", place);
  const format = dtype as FormatName;
  const bytes = byteSize(shape, FORMATS[format], place);
  if (end - begin !== bytes) {
    throw new BoosterError("SAFETENSORS_SIZE_MISMATCH", "shape and data_offsets disagree", {
      expected: `${bytes} bytes for ${dtype} [${shape.join(", ")}]`,
      found: `${end - begin}`,
      where: place,
    });
  }
  return { format, shape, begin: dataStart + begin, end: dataStart + end };
}

/** shape x element size, refused before it could leave the whole numbers that a double holds. */
function byteSize(shape: readonly number[], block: { bytes: number; elements: number }, where: string): number {
  let bytes = block.bytes / block.elements;
  for (const dim of shape) bytes = dim > MAX_DIM ? Number.NaN : bytes * dim;
  if (shape.length <= MAX_RANK && Number.isSafeInteger(bytes)) return bytes;
  throw new BoosterError("SAFETENSORS_SHAPE_INVALID", "the shape is beyond the limits", {
    expected: `at most ${MAX_RANK} dimensions of at most 2^32, whole bytes below 2^53`,
    found: `[${shape.slice(0, MAX_RANK + 1).join(", ")}]`,
    where,
  });
}

function checkLayout(
  listed: readonly (readonly [string, StoredTensor])[],
  dataStart: number,
  size: number,
  where: string,
): void {
  let expected = dataStart;
  for (const [name, { begin, end }] of listed) {
    const place = `${where}: tensor ${name}`;
    if (begin !== expected) {
      const [code, problem] =
        begin < expected
          ? (["SAFETENSORS_OVERLAP", "two tensors share bytes"] as const)
          : (["SAFETENSORS_HOLE", "there are bytes that belong to no tensor"] as const);
      throw new BoosterError(code, problem, {
        expected: `data_offsets to begin at ${expected - dataStart}`,
        found: `${begin - dataStart}`,
        where: place,
      });
    }
    if (end > size) throw truncated(`${end} bytes`, `${size}`, place);
    expected = end;
  }
  if (expected !== size) {
    throw new BoosterError("SAFETENSORS_TRAILING_BYTES", "the file goes on after its last tensor", {
      expected: `${expected} bytes`,
      found: `${size}`,
      where,
    });
  }
}

const isNaturals = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => typeof item === "number" && item >= 0 && Number.isInteger(item));

const invalid = (problem: string, where: string): BoosterError =>
  new BoosterError("SAFETENSORS_HEADER_INVALID", problem, { where });

const truncated = (expected: string, found: string, where: string): BoosterError =>
  new BoosterError("SAFETENSORS_TRUNCATED", "the file is cut off", {
    expected,
    found,
    where,
    hint: "Download or copy it again",
  });
