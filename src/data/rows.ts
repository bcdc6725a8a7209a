import type { ErrorCode } from "../error-codes.ts";
import { BoosterError } from "../errors.ts";

/** 512 MB a file, as OpenAI's API. */
export const MAX_FILE_BYTES = 512 * 2 ** 20;
/** 1 MB a row: a quarter of a million tokens, more than any context here. */
export const MAX_ROW_BYTES = 2 ** 20;
/** Rows of one file; what they hold must fit in memory, with their tokens. */
export const MAX_ROWS = 1_000_000;
/** Nesting of a row; conversations need 3. */
export const MAX_JSON_DEPTH = 64;
/** Turns of one conversation. */
export const MAX_MESSAGES = 1024;
/** Faults that are kept word for word; beyond that they are only counted. */
export const MAX_FAULTS = 100;

/** One record of a data file. */
export interface Row {
  readonly file: string;
  /** Line of its beginning, from 1; in parquet the row's number. */
  readonly line: number;
  readonly values: Readonly<Record<string, unknown>>;
}

/** The place of a row as `file:line`, for errors. */
export const placeOf = (row: Row): string => `${row.file}:${row.line}`;

/** A column of a row; undefined where the row lacks it. */
export const cellOf = (row: Row, column: string): unknown =>
  Object.hasOwn(row.values, column) ? row.values[column] : undefined;

/** Also as pandas writes a column of them that has gaps. */
const FLAGS: Readonly<Record<string, boolean>> = {
  ...{ true: true, "1": true, "1.0": true },
  ...{ false: false, "0": false, "0.0": false },
};

/**
 * A yes or no in a column; undefined where the row lacks it. CSV and TSV know texts only, so that "True" and "0" count as well.
 *
 * @throws {BoosterError} `FLAG_INVALID`
 */
export function flagOf(row: Row, column: string): boolean | undefined {
  const value = cellOf(row, column);
  if (value === undefined) return undefined;
  const text = String(value).trim().toLowerCase();
  if (Object.hasOwn(FLAGS, text)) return FLAGS[text];
  throw new BoosterError("FLAG_INVALID", `has no yes or no in the column "${column}"`, {
    expected: "true or false, 1 or 0",
    found: typeof value,
  });
}

/** Something wrong with one row. `problem` never quotes the row: data may be harmful or private. */
export interface Fault {
  readonly line: number;
  /** Character within the line, from 1; 0 where the whole row is meant. */
  readonly column: number;
  readonly code: ErrorCode;
  readonly problem: string;
}

/** Faults that an error names; the others are counted. */
export const SHOWN_FAULTS = 10;

/** The faults of one or several files: the first `MAX_FAULTS` of them, and how many there are. */
export class FaultList {
  readonly first: (Fault & { readonly file: string })[] = [];
  count = 0;

  add(file: string, fault: Fault): void {
    this.count++;
    if (this.first.length < MAX_FAULTS) this.first.push({ file, ...fault });
  }

  /** @throws {BoosterError} `DATA_INVALID` listing the first faults */
  throwIfAny(): void {
    if (this.count === 0) return;
    const lines = this.first
      .toSorted((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1))
      .slice(0, SHOWN_FAULTS)
      .map(({ file, line, column, code, problem }) => {
        return `\n  ${file}:${line}${column > 0 ? `:${column}` : ""} ${code} ${problem}`;
      });
    if (this.count > lines.length) lines.push(`\n  and ${this.count - lines.length} more`);
    throw new BoosterError("DATA_INVALID", "rows of the data cannot be used", {
      found: `${this.count} faults:${lines.join("")}\n`,
      hint: "Correct or remove these lines",
    });
  }
}

/** How many characters a text has; one beyond the basic plane is one, though it is two units of JavaScript's. */
export const charactersIn = (text: string): number =>
  text.length - (text.match(/[\ud800-\udbff](?=[\udc00-\udfff])/g)?.length ?? 0);

/** Where readers put what they find. */
export interface RowSink {
  row(line: number, values: Readonly<Record<string, unknown>>): void;
  fault(fault: Fault): void;
  /** Says how the file is written where that is not as usual. */
  note(text: string): void;
}

/** The bytes of a file, piece by piece. */
export type ByteStream = AsyncIterable<Uint8Array>;

/** How a reader names the columns of files without a header line: one list of names for each number of columns. */
export type Layouts = readonly (readonly string[])[];

/** Reads rows of one file format from a stream of bytes. */
export type RowReader = (bytes: ByteStream, sink: RowSink, layouts: Layouts) => Promise<void>;
