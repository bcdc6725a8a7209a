import { BoosterError } from "../errors.ts";
import { BLOCK_FORMATS, type BlockFormatName } from "../tensor/block-formats.ts";
import { bfloatToFloat, halfToFloat } from "../tensor/half.ts";
import { dequantise, unpackBlocks } from "../tensor/quantised.ts";
import { type Stored, storedGroups } from "../tensor/stored.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import type { ByteSource } from "./byte-source.ts";

/** How elements are stored: in blocks of so many elements and bytes, and what the bytes of a tensor are read to. */
interface Format {
  readonly elements: number;
  readonly bytes: number;
  /** Absent for types that no weight is read from: files may hold them beside the weights. */
  readonly read?: (bytes: Uint8Array<ArrayBuffer>) => Pick<HostTensor, "dtype" | "data">;
  /** A matrix without widening it; absent where it has no form of fewer bits than float32. */
  readonly keep?: (bytes: Uint8Array<ArrayBuffer>, shape: readonly [rows: number, width: number]) => Stored;
}

const plain = (bytes: number, read: NonNullable<Format["read"]>): Format => ({ elements: 1, bytes, read });
const unread = (bytes: number, elements = 1): Format => ({ elements, bytes });

const halves = (dtype: "float16" | "uint16", widen: (halves: Uint16Array) => Float32Array) => ({
  ...plain(2, ({ buffer }) => ({ dtype: "float32", data: widen(new Uint16Array(buffer)) })),
  keep: ({ buffer }: Uint8Array<ArrayBuffer>, shape: readonly [number, number]): Stored => ({
    codes: tensor(dtype, shape, new Uint16Array(buffer)),
  }),
});

const blocks = Object.fromEntries(
  Object.entries(BLOCK_FORMATS).map(([format, { elements, bytes, range }]) => {
    const name = format as BlockFormatName;
    const row: Format = {
      elements,
      bytes,
      read: (packed) => ({ dtype: "float32", data: dequantise(name, packed) }),
      keep: (packed, shape) => storedGroups(unpackBlocks(name, packed), shape, range),
    };
    return [name, row];
  }),
) as Readonly<Record<BlockFormatName, Format>>;

/**
 * Every way in which the files that are read store elements: floats of 16 bits and blocks are widened to float32, U8 to int32.
 * Typed arrays are little endian on every platform that ONNX Runtime is built for, as the files are.
 */
export const FORMATS = {
  F64: plain(8, ({ buffer }) => ({ dtype: "float64", data: new Float64Array(buffer) })),
  F32: plain(4, ({ buffer }) => ({ dtype: "float32", data: new Float32Array(buffer) })),
  F16: halves("float16", halfToFloat),
  BF16: halves("uint16", bfloatToFloat),
  I64: plain(8, ({ buffer }) => ({ dtype: "int64", data: new BigInt64Array(buffer) })),
  I32: plain(4, ({ buffer }) => ({ dtype: "int32", data: new Int32Array(buffer) })),
  U8: plain(1, (bytes) => ({ dtype: "int32", data: Int32Array.from(bytes) })),
  BOOL: plain(1, (bytes) => ({ dtype: "bool", data: bytes.map((value) => (value === 0 ? 0 : 1)) })),
  I16: unread(2),
  I8: unread(1),
  U64: unread(8),
  U32: unread(4),
  U16: unread(2),
  C64: unread(8),
  F8_E4M3: unread(1),
  F8_E5M2: unread(1),
  F8_E8M0: unread(1),
  F6_E2M3: unread(3, 4),
  F6_E3M2: unread(3, 4),
  F4: unread(1, 2),
  ...blocks,
} as const satisfies Readonly<Record<string, Format>>;
export type FormatName = keyof typeof FORMATS;

/** One tensor of a file: how it is stored, its row-major shape, and where its bytes lie in the file. */
export interface StoredTensor {
  readonly format: FormatName;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** An opened file of tensors: the header is checked, tensors are read one by one. */
export interface TensorFile {
  readonly where: string;
  /** In the order of the data. */
  readonly entries: ReadonlyMap<string, StoredTensor>;
  /** @throws {BoosterError} `TENSOR_NOT_FOUND`, `FILE_CHANGED`, `SAFETENSORS_DTYPE_UNSUPPORTED`. */
  load(name: string): HostTensor;
  /** A matrix in the bits that the file spends on it; undefined for what has no such form. Throws what `load` throws. */
  keep(name: string): Stored | undefined;
}

/** The file behind a source, once its header has been read. */
export function tensorFile(source: ByteSource, entries: ReadonlyMap<string, StoredTensor>): TensorFile {
  const entryOf = (name: string): StoredTensor => {
    const entry = entries.get(name);
    if (entry !== undefined) return entry;
    throw new BoosterError("TENSOR_NOT_FOUND", "the file has no such tensor", { found: name, where: source.where });
  };
  const bytesOf = ({ begin, end }: StoredTensor): Uint8Array<ArrayBuffer> => {
    const bytes = new Uint8Array(end - begin);
    source.readInto(begin, bytes);
    return bytes;
  };
  return {
    where: source.where,
    entries,
    load(name) {
      const entry = entryOf(name);
      const { read }: Format = FORMATS[entry.format];
      if (read !== undefined) return { shape: entry.shape, ...read(bytesOf(entry)) } as HostTensor;
      throw new BoosterError("SAFETENSORS_DTYPE_UNSUPPORTED", "weights are not read from this element type", {
        expected: "F32, F16, BF16 or F64",
        found: entry.format,
        where: `${source.where}: tensor ${name}`,
        hint: "Quantised checkpoints are read from GGUF files alone; else take the one that this was made from",
      });
    },
    keep(name) {
      const entry = entryOf(name);
      const [rows, width, ...more] = entry.shape;
      const { keep }: Format = FORMATS[entry.format];
      if (keep === undefined || rows === undefined || width === undefined || more.length > 0) return undefined;
      return keep(bytesOf(entry), [rows, width]);
    },
  };
}
