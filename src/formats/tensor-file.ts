import { BoosterError } from "../errors.ts";
import { BLOCK_FORMATS, type BlockFormatName } from "../tensor/block-formats.ts";
import { bfloatToFloat, halfToFloat } from "../tensor/half.ts";
import { dequantise } from "../tensor/quantised.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { ByteSource } from "./byte-source.ts";

/** How elements are stored: in blocks of so many elements and bytes, and what the bytes of a tensor are read to. */
interface Format {
  readonly elements: number;
  readonly bytes: number;
  /** Absent for types that no weight is read from: files may hold them beside the weights. */
  readonly read?: (bytes: Uint8Array<ArrayBuffer>) => Pick<HostTensor, "dtype" | "data">;
}

const plain = (bytes: number, read: NonNullable<Format["read"]>): Format => ({ elements: 1, bytes, read });
const unread = (bytes: number, elements = 1): Format => ({ elements, bytes });

const blocks = Object.fromEntries(
  Object.entries(BLOCK_FORMATS).map(([name, { elements, bytes }]) => {
    const read: Format["read"] = (packed) => ({ dtype: "float32", data: dequantise(name as BlockFormatName, packed) });
    return [name, { elements, bytes, read }];
  }),
) as Readonly<Record<BlockFormatName, Format>>;

/**
 * Every way in which the files that are read store elements: floats of 16 bits and blocks are widened to float32, U8 to int32.
 * Typed arrays are little endian on every platform that ONNX Runtime is built for, as the files are.
 */
export const FORMATS = {
  F64: plain(8, ({ buffer }) => ({ dtype: "float64", data: new Float64Array(buffer) })),
  F32: plain(4, ({ buffer }) => ({ dtype: "float32", data: new Float32Array(buffer) })),
  F16: plain(2, ({ buffer }) => ({ dtype: "float32", data: halfToFloat(new Uint16Array(buffer)) })),
  BF16: plain(2, ({ buffer }) => ({ dtype: "float32", data: bfloatToFloat(new Uint16Array(buffer)) })),
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
}

/** The file behind a source, once its header has been read. */
export const tensorFile = (source: ByteSource, entries: ReadonlyMap<string, StoredTensor>): TensorFile => ({
  where: source.where,
  entries,
  load(name) {
    const entry = entries.get(name);
    if (entry === undefined) {
      throw new BoosterError("TENSOR_NOT_FOUND", "the file has no such tensor", { found: name, where: source.where });
    }
    const { read }: Format = FORMATS[entry.format];
    if (read === undefined) {
      throw new BoosterError("SAFETENSORS_DTYPE_UNSUPPORTED", "weights are not read from this element type", {
        expected: "F32, F16, BF16 or F64",
        found: entry.format,
        where: `${source.where}: tensor ${name}`,
        hint: "Quantised checkpoints are read from GGUF files alone; else take the one that this was made from",
      });
    }
    const bytes = new Uint8Array(entry.end - entry.begin);
    source.readInto(entry.begin, bytes);
    return { shape: entry.shape, ...read(bytes) } as HostTensor;
  },
});
