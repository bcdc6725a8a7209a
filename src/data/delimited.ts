import { eachLine } from "./lines.ts";
import { charactersIn, type Layouts, MAX_ROW_BYTES, type RowReader, type RowSink } from "./rows.ts";

const QUOTE = '"';

/** A record that is being read: its cells, and the lines so far of a quoted cell that has not ended. */
interface OpenRecord {
  readonly cells: string[];
  quoted: string[] | undefined;
  /** Where in its line the quoted cell began. */
  opened: number;
}

const newRecord = (): OpenRecord => ({ cells: [], quoted: undefined, opened: 0 });

/**
 * Reads a line of a record as Python's csv module does: a cell that begins with a quote goes on to the closing one, also over
 * lines; in other cells quotes are text.
 *
 * @returns undefined, or the character (from 0) of a quote behind which the cell goes on
 */
function takeLine(line: string, delimiter: string, record: OpenRecord): number | undefined {
  let at = 0;
  for (;;) {
    if (record.quoted !== undefined || line[at] === QUOTE) {
      const from = record.quoted === undefined ? at + 1 : at;
      if (record.quoted === undefined) record.opened = at;
      let end = line.indexOf(QUOTE, from);
      while (end >= 0 && line[end + 1] === QUOTE) end = line.indexOf(QUOTE, end + 2);
      record.quoted ??= [];
      record.quoted.push(line.slice(from, end < 0 ? line.length : end).replaceAll('""', QUOTE));
      if (end < 0) return undefined;
      if (end + 1 < line.length && line[end + 1] !== delimiter) return end + 1;
      record.cells.push(record.quoted.join("\n"));
      record.quoted = undefined;
      at = end + 1;
    } else {
      const next = line.indexOf(delimiter, at);
      const end = next < 0 ? line.length : next;
      record.cells.push(line.slice(at, end));
      at = end;
    }
    if (at >= line.length) return undefined;
    at++;
  }
}

const NAME = /^[\p{L}_][\p{L}\p{M}\p{N}_ .:()/?-]*$/u;

/** How Excel writes a first line that names what separates the cells of the others. */
const SEPARATOR = /^"?sep=([^"])"?$/i;

/**
 * What separates cells, as the first line shows: column names, or as many cells as a layout has. The first or last name may be
 * empty, as over pandas' row numbers and where lines end with what separates.
 */
function delimiterOf(line: string, layouts: Layouts, usual: string): string {
  const fits = (delimiter: string): boolean => {
    const record = newRecord();
    if (takeLine(line, delimiter, record) !== undefined || record.quoted !== undefined) return false;
    if (layouts.some(({ length }) => length === record.cells.length)) return true;
    const names = record.cells.map((cell) => cell.trim());
    const named = names[0] === "" ? names.slice(1) : names.at(-1) === "" ? names.slice(0, -1) : names;
    return names.length > 1 && named.every((name) => NAME.test(name));
  };
  return [usual, ";", "\t", ","].find(fits) ?? usual;
}

/** Names the columns from the header line or a layout, then hands on rows; one for each file. */
function rowMaker(sink: RowSink, layouts: Layouts) {
  let names: readonly string[] | undefined;
  return {
    /** Columns of the file; 0 as long as none is known. */
    columns: (): number => names?.length ?? 0,
    make(cells: readonly string[], line: number): void {
      if (names === undefined) {
        const layout = layouts.find((columns) => columns.length === cells.length);
        const isHeader = layout?.every((name) => cells.includes(name)) ?? true;
        names = layout === undefined || isHeader ? cells : layout;
        const twice = names.find((name, place) => names?.indexOf(name) !== place);
        if (twice !== undefined) {
          sink.fault({ line, column: 1, code: "COLUMN_TWICE", problem: "the header names a column twice" });
        }
        if (isHeader) return;
      }
      if (cells.length !== names.length) {
        const problem = `has ${cells.length} columns, expected ${names.length}`;
        sink.fault({ line, column: 1, code: "COLUMN_COUNT", problem });
        return;
      }
      sink.row(line, Object.fromEntries(names.map((name, place) => [name, cells[place]])));
    },
  };
}

interface Line {
  readonly text: string;
  readonly line: number;
}

/**
 * Values separated by one character: `usual`, or what the first line shows.
 *
 * @param plain whether a cell that begins with a quote may be plain text: where it does not end as a quoted one, and the line has
 * all columns without it
 */
const readDelimited =
  (usual: string, plain: boolean): RowReader =>
  async (bytes, sink, layouts) => {
    const { columns, make } = rowMaker(sink, layouts);
    let delimiter: string | undefined;
    let record = newRecord();
    let lines: Line[] = [];
    let length = 0;
    /** The line of the record in which its quoted cell began. */
    let opening = 0;

    const fault = ({ text, line }: Line, at: number, code: "CSV_BAD_QUOTE" | "CSV_OPEN_QUOTE") => {
      const problem = code === "CSV_BAD_QUOTE" ? "has a quote out of place" : "opens a quoted cell that does not end";
      sink.fault({ line, column: charactersIn(text.slice(0, at)) + 1, code, problem });
    };
    const clear = () => {
      record = newRecord();
      lines = [];
      length = 0;
      opening = 0;
    };
    /** The record cannot be read: what its quoted cell swallowed is read again without the lines before, each line alone. */
    const giveUp = () => {
      const { opened } = record;
      const swallowed = lines.slice(opening + 1);
      fault(lines[opening] as Line, opened, "CSV_OPEN_QUOTE");
      clear();
      const last = swallowed.pop();
      for (const line of swallowed) {
        take(line);
        if (lines.length > 0) {
          fault(line, record.opened, "CSV_OPEN_QUOTE");
          clear();
        }
      }
      if (last !== undefined) take(last);
    };
    const take = (next: Line) => {
      const { text, line } = next;
      if (lines.length === 0 && text === "") return;
      if (delimiter === undefined) {
        const named = SEPARATOR.exec(text)?.[1];
        delimiter = named ?? delimiterOf(text, layouts, usual);
        if (delimiter !== usual) sink.note(`cells separated by ${delimiter === "\t" ? "tabs" : delimiter}`);
        if (named !== undefined) return;
      }
      lines.push(next);
      length += text.length + 1;
      const bad = takeLine(text, delimiter, record);
      const isOpen = record.quoted !== undefined;
      const begins = record.quoted?.length === 1;
      if (begins) opening = lines.length - 1;
      if (plain && isOpen && lines.length === 1) {
        const cells = text.split(delimiter);
        if (cells.length >= columns()) {
          clear();
          return make(cells, line);
        }
      }
      if (bad !== undefined && begins) {
        fault(next, bad, "CSV_BAD_QUOTE");
        return clear();
      }
      if (bad !== undefined || (isOpen && length > MAX_ROW_BYTES)) return giveUp();
      if (isOpen) return;
      const [{ line: first }] = lines as [Line];
      const { cells } = record;
      clear();
      make(cells, first);
    };
    await eachLine(bytes, (text, line) => (typeof text === "string" ? take({ text, line }) : sink.fault(text)));
    while (lines.length > 0) giveUp();
  };

/** Comma-separated values as of RFC 4180: quoted cells may hold commas, doubled quotes and line breaks. */
export const readCsv: RowReader = readDelimited(",", false);

/** Tab-separated values: cells are quoted as in CSV, or plain text that may begin with a quote. */
export const readTsv: RowReader = readDelimited("\t", true);
