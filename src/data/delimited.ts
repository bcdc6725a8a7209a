import { eachLine } from "./lines.ts";
import { type Fault, MAX_ROW_BYTES, type RowReader } from "./rows.ts";

const QUOTE = '"';
const quotesIn = (text: string): number => text.split(QUOTE).length - 1;

/** The cells of one CSV record; a number is the character (from 0) of a quote that is out of place. */
function csvCells(record: string): string[] | number {
  const cells: string[] = [];
  let at = 0;
  for (;;) {
    if (record[at] === QUOTE) {
      let end = record.indexOf(QUOTE, at + 1);
      while (end >= 0 && record[end + 1] === QUOTE) end = record.indexOf(QUOTE, end + 2);
      if (end < 0) return at;
      if (end + 1 < record.length && record[end + 1] !== ",") return end + 1;
      cells.push(record.slice(at + 1, end).replaceAll('""', QUOTE));
      at = end + 1;
    } else {
      const comma = record.indexOf(",", at);
      const end = comma < 0 ? record.length : comma;
      cells.push(record.slice(at, end));
      at = end;
    }
    if (at >= record.length) return cells;
    at++;
  }
}

/** Names the columns from the header line or a layout, then hands on rows; one for each file. */
function rowMaker(sink: Parameters<RowReader>[1], layouts: Parameters<RowReader>[2]) {
  let names: readonly string[] | undefined;
  return (cells: readonly string[], line: number) => {
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
      return sink.fault({ line, column: 1, code: "COLUMN_COUNT", problem });
    }
    sink.row(line, Object.fromEntries(names.map((name, place) => [name, cells[place]])));
  };
}

/** Comma-separated values as of RFC 4180: quoted cells may hold commas, doubled quotes and line breaks. */
export const readCsv: RowReader = async (bytes, sink, layouts) => {
  const make = rowMaker(sink, layouts);
  // A record whose quotes are not balanced goes on in the next line.
  let open: string[] = [];
  let openLength = 0;
  let openLine = 0;
  const unclosed = (): Fault => {
    const column = (open[0]?.lastIndexOf(QUOTE) ?? 0) + 1;
    return { line: openLine, column, code: "CSV_OPEN_QUOTE", problem: "opens a quoted cell that does not end" };
  };
  const read = (record: string, line: number) => {
    const cells = csvCells(record);
    if (typeof cells !== "number") return make(cells, line);
    sink.fault({ line, column: cells + 1, code: "CSV_BAD_QUOTE", problem: "has a quote out of place" });
  };
  await eachLine(bytes, (text, line) => {
    if (typeof text !== "string") return sink.fault(text);
    const odd = quotesIn(text) % 2 === 1;
    if (open.length === 0 && !odd) {
      if (text !== "") read(text, line);
      return;
    }
    if (open.length === 0) openLine = line;
    const closes = open.length > 0 && odd;
    open.push(text);
    openLength += text.length + 1;
    if (closes) read(open.join("\n"), openLine);
    else if (openLength > MAX_ROW_BYTES) sink.fault(unclosed());
    else return;
    open = [];
    openLength = 0;
  });
  if (open.length > 0) sink.fault(unclosed());
};

/** Tab-separated values: no quoting, one record a line. */
export const readTsv: RowReader = async (bytes, sink, layouts) => {
  const make = rowMaker(sink, layouts);
  await eachLine(bytes, (text, line) => {
    if (typeof text !== "string") sink.fault(text);
    else if (text !== "") make(text.split("\t"), line);
  });
};
