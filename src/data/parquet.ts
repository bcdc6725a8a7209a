import { buffer } from "node:stream/consumers";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { type Compressors, type FileMetaData, parquetMetadata, parquetReadObjects } from "hyparquet";
import { compressors, decompressZstd } from "hyparquet-compressors";
import { BoosterError } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import { MAX_ROWS, type RowReader } from "./rows.ts";

/** What a row group may unpack to. */
export const MAX_GROUP_BYTES = 256 * 2 ** 20;
/** Compressed text seldom reaches 20:1; a bomb reaches 1000:1. */
export const MAX_RATIO = 200;
/** A page of one word many times may compress better than that; so small it does no harm. */
const SMALL_PAGE_BYTES = 2 ** 16;

function tooLarge(expected: string, found: string): BoosterError {
  return new BoosterError("PARQUET_TOO_LARGE", "the parquet file unpacks to too much", { expected, found });
}

/** Decompressors that write no more than they are told to; the package's own ones for these three go on to the end. */
const bounded: Compressors = {
  ...compressors,
  GZIP: (input, outputLength) => gunzipSync(input, { maxOutputLength: outputLength }),
  BROTLI: (input, outputLength) => brotliDecompressSync(input, { maxOutputLength: outputLength }),
  ZSTD: (input, outputLength) => decompressZstd(input, new Uint8Array(outputLength)),
};

/** Decompressors that refuse a page that says that it unpacks to too much. */
const guarded: Compressors = Object.fromEntries(
  Object.entries(bounded).map(([codec, unpack]) => [
    codec,
    (input: Uint8Array, outputLength: number) => {
      if (outputLength > MAX_GROUP_BYTES || outputLength > MAX_RATIO * input.length + SMALL_PAGE_BYTES) {
        throw tooLarge(`pages that unpack at most ${MAX_RATIO}:1`, `${outputLength} bytes from ${input.length}`);
      }
      return unpack(input, outputLength);
    },
  ]),
);

function checked(metadata: FileMetaData): FileMetaData {
  if (metadata.num_rows > MAX_ROWS) throw tooLarge(`at most ${MAX_ROWS} rows`, `${metadata.num_rows}`);
  for (const group of metadata.row_groups) {
    if (group.total_byte_size > MAX_GROUP_BYTES) {
      throw tooLarge(`row groups of at most ${MAX_GROUP_BYTES} bytes`, `${group.total_byte_size}`);
    }
  }
  return metadata;
}

/** Whole numbers that fit become plain numbers, also within lists and structures, so that labels and weights compare as in the other formats. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  if (Array.isArray(value)) return value.map(plain);
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
}

/** Apache Parquet, one row group at a time. One that cannot be decoded is a fault, and so is a file without readable metadata. */
export const readParquet: RowReader = async (bytes, sink) => {
  const content = new Uint8Array(await buffer(bytes)).buffer;
  const file = { byteLength: content.byteLength, slice: (from: number, to?: number) => content.slice(from, to) };
  const orFault = async <T>(line: number, problem: string, read: () => T | Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (error instanceof BoosterError) throw error;
      sink.fault({ line, column: 0, code: "PARQUET_INVALID", problem });
      return undefined;
    }
  };
  const metadata = await orFault(1, "cannot be decoded as parquet", () => checked(parquetMetadata(content)));
  let rowStart = 0;
  for (const { num_rows } of metadata?.row_groups ?? []) {
    const part = { rowStart, rowEnd: rowStart + Number(num_rows) };
    const rows = await orFault(rowStart + 1, "begins rows that cannot be decoded", () =>
      parquetReadObjects({ file, metadata: metadata!, ...part, compressors: guarded }),
    );
    for (const [place, row] of (rows ?? []).entries()) {
      sink.row(rowStart + place + 1, plain(row) as Readonly<Record<string, unknown>>);
    }
    rowStart = part.rowEnd;
  }
};
