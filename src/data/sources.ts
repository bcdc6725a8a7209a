import { createHash } from "node:crypto";
import { createReadStream, readdirSync, statSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { BoosterError } from "../errors.ts";
import { inCache } from "../formats/hub/cache.ts";
import { isHubReference, parseHubReference } from "../formats/hub/reference.ts";
import { readCsv, readTsv } from "./delimited.ts";
import { decoded, type Encoding, unpacked } from "./encodings.ts";
import { readJson } from "./json.ts";
import { readJsonl } from "./jsonl.ts";
import { readParquet } from "./parquet.ts";
import {
  type ByteStream,
  type Fault,
  FaultList,
  type Layouts,
  MAX_FILE_BYTES,
  MAX_ROWS,
  type Row,
  type RowReader,
  type RowSink,
} from "./rows.ts";

/** File formats and their readers; one row each. */
const READERS = {
  json: readJson,
  jsonl: readJsonl,
  csv: readCsv,
  tsv: readTsv,
  parquet: readParquet,
} as const satisfies Readonly<Record<string, RowReader>>;

export type FileKind = keyof typeof READERS;
export const FILE_KINDS = Object.keys(READERS) as [FileKind, ...FileKind[]];
const EXTENSIONS: Readonly<Record<string, FileKind>> = {
  ...Object.fromEntries(FILE_KINDS.map((kind) => [`.${kind}`, kind])),
  ".ndjson": "jsonl",
};

/** How to read data files. */
export interface ReadOptions {
  /** By default the file name's extension decides. */
  readonly kind?: FileKind;
  /** How its texts are written; by default told by the file. */
  readonly encoding?: Encoding;
  /** Column names of CSV and TSV files without a header line. */
  readonly layouts?: Layouts;
}

/** A data file that was read. */
export interface DataFile {
  readonly path: string;
  readonly kind: FileKind;
  readonly bytes: number;
  readonly sha256: string;
  /** Rows without fault. */
  readonly rows: number;
  /** How it is written where that is not as usual: packed, in another encoding, with other separators. */
  readonly notes: readonly string[];
}

function kindOf(path: string): FileKind {
  const name = path.toLowerCase().replace(/\.gz$/, "");
  const kind = EXTENSIONS[extname(name)];
  if (kind !== undefined) return kind;
  throw new BoosterError("DATA_FORMAT_UNKNOWN", "the file's format cannot be told from its name", {
    expected: Object.keys(EXTENSIONS).join(", "),
    found: extname(name) || "no extension",
    where: path,
    hint: "Rename the file or name its format.",
  });
}

/**
 * Reads a data file row by row without keeping the rows, and takes its SHA-256 on the way.
 *
 * Memory: one row for JSON Lines, CSV and TSV; the whole file for JSON and parquet. A file may be packed by gzip.
 *
 * @throws {BoosterError} `DATA_NOT_FOUND`, `DATA_TOO_LARGE`, `GZIP_INVALID`, `ENCODING_MISMATCH`, `DATA_TOO_MANY_ROWS`, `DATA_FORMAT_UNKNOWN`,
 * `PARQUET_TOO_LARGE`; faults of single rows are put into `faults`, not thrown
 * @example
 * const file = await scanFile("train.jsonl", (row) => count(row.values), faults);
 * faults.throwIfAny();
 */
export async function scanFile(
  path: string,
  visit: (row: Row) => void,
  faults: FaultList,
  options: ReadOptions = {},
): Promise<DataFile> {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    throw new BoosterError("DATA_NOT_FOUND", "there is no such data file", { where: path });
  }
  const kind = options.kind ?? kindOf(path);
  const hash = createHash("sha256");
  let bytes = 0;
  async function* hashed(): ByteStream {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 }) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_FILE_BYTES) {
        throw new BoosterError("DATA_TOO_LARGE", "the data file is too large", {
          expected: `at most ${MAX_FILE_BYTES} bytes`,
          where: path,
          hint: "Split it; several files can be given with a * in the name.",
        });
      }
      hash.update(chunk);
      yield chunk;
    }
  }
  let rows = 0;
  const notes = new Set<string>();
  const note = (text: string) => void notes.add(text);
  const sink: RowSink = {
    note,
    row(line: number, values: Row["values"]) {
      if (++rows > MAX_ROWS) {
        throw new BoosterError("DATA_TOO_MANY_ROWS", "the data file has too many rows", {
          expected: `at most ${MAX_ROWS}`,
          where: path,
        });
      }
      visit({ file: path, line, values });
    },
    fault: (fault: Fault) => faults.add(path, fault),
  };
  try {
    await readRows(hashed(), kind, stat.size, sink, options);
  } catch (error) {
    if (!(error instanceof BoosterError) || error.details.where !== undefined) throw error;
    throw new BoosterError(error.code, error.problem, { ...error.details, where: path });
  }
  return { path, kind, bytes, sha256: hash.digest("hex"), rows, notes: [...notes] };
}

/**
 * Reads rows of a stream of bytes: unpacked, and as UTF-8 where they are text.
 *
 * @param size bytes of the whole
 * @throws {BoosterError} what `unpacked`, `decoded` and the readers throw; faults of single rows go to the sink
 */
export async function readRows(
  bytes: ByteStream,
  kind: FileKind,
  size: number,
  sink: RowSink,
  { encoding: told, layouts = [] }: ReadOptions = {},
): Promise<void> {
  const content = unpacked(bytes, size, sink.note);
  if (kind === "parquet") return READERS[kind](content, sink, layouts);
  const { text, encoding } = await decoded(content, told);
  if (encoding !== "utf-8") sink.note(encoding);
  // Bytes that are no characters are told in the file's own encoding.
  const fault = (found: Fault) =>
    sink.fault(
      found.code === "INVALID_UTF8" && encoding !== "utf-8" ? { ...found, problem: `is not ${encoding}` } : found,
    );
  await READERS[kind](text, { ...sink, fault }, layouts);
}

/**
 * The files that a path names; `*` and `?` in the last part of it stand for any characters. Sorted by name. Of a data set of the hub the
 * files in the cache: what is not there yet, `fetchReference` brings.
 *
 * @throws {BoosterError} `DATA_NOT_FOUND`, and what `inCache` throws
 */
export function expandPath(pattern: string): string[] {
  if (isHubReference(pattern) && parseHubReference(pattern).kind === "dataset") {
    const { place, files } = inCache(pattern);
    return files.map((path) => join(place, path));
  }
  const name = basename(pattern);
  if (!/[*?]/.test(name)) return [pattern];
  const escaped = name.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  const matcher = new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`, "u");
  const folder = dirname(pattern);
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const found = isFolder ? readdirSync(folder).filter((entry) => matcher.test(entry)) : [];
  if (found.length === 0) throw new BoosterError("DATA_NOT_FOUND", "no data file matches", { where: pattern });
  return found.sort().map((entry) => join(folder, entry));
}

/** Rows in memory and the files that they came from. */
export interface LoadedRows {
  readonly rows: readonly Row[];
  readonly files: readonly DataFile[];
  /** What could not be read of them: for `collectExamples`, which adds what is wrong with the rows and throws both. */
  readonly faults: FaultList;
}

/**
 * Loads the rows of one or several files.
 *
 * @throws {BoosterError} what `scanFile` and `expandPath` throw
 * @example
 * const { rows, faults } = await loadRows("data/*.jsonl");
 * faults.throwIfAny();
 */
export async function loadRows(pattern: string, options: ReadOptions = {}): Promise<LoadedRows> {
  const rows: Row[] = [];
  const files: DataFile[] = [];
  const faults = new FaultList();
  for (const path of expandPath(pattern)) files.push(await scanFile(path, (row) => rows.push(row), faults, options));
  return { rows, files, faults };
}
