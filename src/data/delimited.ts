import { eachLine } from "./lines.ts";
import { MAX_ROW_BYTES, type RowReader } from "./rows.ts";

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
  const fault = (column: number, code: "CSV_OPEN_QUOTE" | "CSV_BAD_QUOTE", problem: string) => {
    sink.fault({ line: openLine, column, code, problem });
    const [, ...others] = open;
    const from = openLine + 1;
    open = [];
    // The first line alone is at fault: what it swallowed is read again without it.
    others.forEach((text, place) => void take(text, from + place));
  };
  const unclosed = () =>
    fault((open[0]?.lastIndexOf(QUOTE) ?? 0) + 1, "CSV_OPEN_QUOTE", "opens a quoted cell that does not end");
  const take = (text: string, line: number) => {
    if (open.length === 0) {
      if (text === "") return;
      openLine = line;
      openLength = 0;
    }
    open.push(text);
    openLength += text.length + 1;
    // An odd number of quotes opens a record of several lines, or closes it.
    if ((quotesIn(text) % 2 === 1) === (open.length === 1)) {
      if (openLength > MAX_ROW_BYTES) unclosed();
      return;
    }
    const cells = csvCells(open.join("\n"));
    if (typeof cells === "number" && open.length > 1) return unclosed();
    if (typeof cells === "number") return fault(cells + 1, "CSV_BAD_QUOTE", "has a quote out of place");
    open = [];
    make(cells, openLine);
  };
  await eachLine(bytes, (text, line) => (typeof text === "string" ? take(text, line) : sink.fault(text)));
  while (open.length > 0) unclosed();
};

/** Tab-separated values: no quoting, one record a line. */
export const readTsv: RowReader = async (bytes, sink, layouts) => {
  const make = rowMaker(sink, layouts);
  await eachLine(bytes, (text, line) => {
    if (typeof text !== "string") sink.fault(text);
    else if (text !== "") make(text.split("\t"), line);
  });
};
