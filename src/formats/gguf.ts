import { atMost, BoosterError } from "../errors.ts";
import { type HostTensor, sizeOf } from "../tensor/tensor.ts";
import { type ByteSource, bytesSource, fileSource } from "./byte-source.ts";
import { GgufCursor } from "./gguf-cursor.ts";
import { duplicate, type GgufValue, readMetadata } from "./gguf-metadata.ts";
import { FORMATS, type FormatName, type StoredTensor, type TensorFile, tensorFile } from "./tensor-file.ts";

/** Vocabularies of 262 144 tokens with merges take about 20 MB. */
const MAX_HEADER_BYTES = 128 * 2 ** 20;
/** Real files have about 40 keys. */
const MAX_KEYS = 65_536;
/** As for safetensors. */
const MAX_TENSORS = 100_000;
/** ggml keeps names in 64 bytes (128 in some builds). */
const MAX_NAME_BYTES = 128;
/** ggml's `GGML_MAX_DIMS`. */
const MAX_RANK = 4;
/** Beyond any real dimension; the product is checked apart. */
const MAX_DIM = 2 ** 32;
const DEFAULT_ALIGNMENT = 32;
/** A page is the largest alignment with a purpose; two megabytes are a huge page. */
const MAX_ALIGNMENT = 2 ** 21;

const MAGIC = 0x46554747;

/** ggml's types by their numbers; those that are no row of `FORMATS` are known by name alone. */
const TYPE_NAMES =
  "F32 F16 Q4_0 Q4_1 - - Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K IQ2_XXS IQ2_XS IQ3_XXS IQ1_S IQ4_NL IQ3_S IQ2_S IQ4_XS I8 I16 I32 I64 F64 IQ1_M BF16 - - - TQ1_0 TQ2_0 - - - MXFP4 NVFP4".split(
    " ",
  );

/** Whether tensors of a model may be of this type: a floating-point number, however it is stored. */
const isFloat = (name: string): name is FormatName => Object.hasOwn(FORMATS, name) && !/^[IU]\d|^F64|^BOOL/.test(name);

/** ggml's number of a type, by its name. */
export const numberOfType = (name: string): number => TYPE_NAMES.indexOf(name);

/** How a tensor of ggml's type of that number is stored. @throws {BoosterError} `GGUF_DTYPE_UNSUPPORTED`, naming the type */
export function formatOfType(number: number, where: string): FormatName {
  const name = TYPE_NAMES[number] ?? "-";
  if (isFloat(name)) return name;
  throw new BoosterError("GGUF_DTYPE_UNSUPPORTED", "this tensor type is not read", {
    expected: TYPE_NAMES.filter(isFloat).join(", "),
    found: name === "-" ? `ggml type ${number}` : name,
    where,
    hint: "Use the same model in one of these types (Q8_0 is the usual choice) or its Hugging Face folder",
  });
}

/** An opened GGUF file; shapes are row-major (the file lists dimensions the other way round), all tensors are read to float32. */
export interface GgufFile extends TensorFile {
  readonly version: number;
  /** Has no prototype, so that any key is just a key. */
  readonly metadata: Readonly<Record<string, GgufValue>>;
  /** A key with its value as it stands in the file, for whoever writes it into another. */
  pair(key: string): Uint8Array;
  load(name: string): HostTensor<"float32">;
}

/**
 * Opens a GGUF file (version 2 or 3, little endian): reads and checks its header only.
 *
 *     file = "GGUF", version u32, tensor count u64, key count u64, keys, tensor infos, padding, data
 *
 * Tensors of types F32, F16, BF16 and those of `BLOCK_FORMATS` are widened to float32. The parser is our own because
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
  atMost(MAX_TENSORS, "", tensorCount, "GGUF_TOO_MANY_TENSORS", "the file has too many tensors", { where });
  atMost(MAX_KEYS, "", keyCount, "GGUF_TOO_MANY_KEYS", "the file has too many metadata keys", { where });
  const { metadata, places } = readMetadata(cursor, keyCount, where);
  const alignment = alignmentOf(metadata, where);
  const file = tensorFile(source, readTensors(cursor, tensorCount, alignment, source));
  return {
    ...file,
    version,
    metadata,
    load: (name) => file.load(name) as HostTensor<"float32">,
    pair(key) {
      const [begin, end] = places.get(key) ?? [0, 0];
      const bytes = new Uint8Array(end - begin);
      source.readInto(begin, bytes);
      return bytes;
    },
  };
}

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
): Map<string, StoredTensor> {
  const relative: [name: string, info: StoredTensor][] = [];
  for (let i = 0; i < count; i++) relative.push(readTensor(cursor, source.where));
  const align = (position: number): number => Math.ceil(position / alignment) * alignment;
  const dataStart = align(cursor.position);
  relative.sort(([, a], [, b]) => a.begin - b.begin);
  const tensors = new Map<string, StoredTensor>();
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
function readTensor(cursor: GgufCursor, where: string): [name: string, info: StoredTensor] {
  const name = cursor.text(MAX_NAME_BYTES, "tensor name");
  const place = `${where}: tensor ${name}`;
  const rank = cursor.u32();
  if (rank > MAX_RANK) throw invalidShape(`at most ${MAX_RANK} dimensions`, `${rank}`, place);
  const dims = Array.from({ length: rank }, () => cursor.size());
  const number = cursor.u32();
  const format = formatOfType(number, place);
  const begin = cursor.size();
  const row = dims[0] ?? 1;
  const { elements, bytes: blockBytes } = FORMATS[format];
  const bytes = (sizeOf(dims) / elements) * blockBytes;
  if (dims.some((dim) => dim < 1 || dim > MAX_DIM) || row % elements !== 0 || !isSafe(bytes)) {
    throw invalidShape(`dimensions from 1 to 2^32, rows of whole blocks of ${elements}`, `[${dims}]`, place);
  }
  if (!isSafe(begin + bytes)) {
    throw new BoosterError("GGUF_OFFSET_INVALID", "the offset is too large", { found: `${begin}`, where: place });
  }
  return [name, { format, shape: dims.reverse(), begin, end: begin + bytes }];
}

const isSafe = (value: number): boolean => Number.isSafeInteger(value);

const invalidShape = (expected: string, found: string, where: string): BoosterError =>
  new BoosterError("GGUF_SHAPE_INVALID", "the tensor's dimensions cannot be used", { expected, found, where });
