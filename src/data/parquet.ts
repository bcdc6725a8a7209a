import { buffer } from "node:stream/consumers";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import {
  type Compressors,
  type FileMetaData,
  parquetMetadata,
  parquetReadObjects,
  parquetSchema,
  type SchemaTree,
} from "hyparquet";
import { compressors, decompressZstd } from "hyparquet-compressors";
import { BoosterError } from "../errors.ts";
import { Float, objectOf, parseExactJson } from "../formats/exact-json.ts";
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

const jsonFromBytes = (bytes: Uint8Array | undefined) => bytes && parseExactJson(new TextDecoder().decode(bytes));

const FLOATS = ["FLOAT", "DOUBLE"];

/** Whole numbers that fit become plain numbers, so that labels and weights compare as in the other formats. */
const plain = (value: unknown) =>
  typeof value === "bigint" && Number.isSafeInteger(Number(value)) ? Number(value) : value;

/** What is in a list or map, whether its levels are written out or not. */
function inner(node: SchemaTree): SchemaTree {
  const [repeated = node] = node.children;
  if (node.element.converted_type === "MAP") return repeated.children[1] ?? repeated;
  if (node.element.converted_type !== "LIST") return node;
  return repeated.children.length === 1 ? (repeated.children[0] ?? repeated) : repeated;
}

/** A value within a list or structure as JSON has it: floats stay floats, keys stand in the order of the schema, what is missing is null. */
function nested(value: unknown, node: SchemaTree): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map((item) => nested(item, inner(node)));
  const isFloat = FLOATS.includes(node.element.type ?? "") || node.element.logical_type?.type === "FLOAT16";
  if (isFloat && Number.isInteger(value)) return new Float(value);
  if (!isObject(value) || Object.getPrototypeOf(value) !== Object.prototype) return plain(value);
  if (node.element.converted_type === "MAP") {
    return objectOf(Object.entries(value).map(([key, item]) => [key, nested(item, inner(node))]));
  }
  return node.children.length === 0 ? value : structured(value, node, nested);
}

const structured = (value: Record<string, unknown>, node: SchemaTree, each: typeof nested) =>
  objectOf(node.children.map((child) => [child.element.name, each(value[child.element.name], child)]));

/** A cell; a number in a column of its own is one of JavaScript's. */
const cell = (value: unknown, node: SchemaTree) =>
  isObject(value) || Array.isArray(value) ? nested(value, node) : plain(value);

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
      parquetReadObjects({ file, metadata: metadata!, ...part, compressors: guarded, parsers: { jsonFromBytes } }),
    );
    const schema = parquetSchema(metadata!);
    for (const [place, row] of (rows ?? []).entries()) {
      sink.row(rowStart + place + 1, structured(row, schema, cell));
    }
    rowStart = part.rowEnd;
  }
};
