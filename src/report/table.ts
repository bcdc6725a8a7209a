import type { Estimate } from "./estimate.ts";
import { decimal, intervalText, NOTHING } from "./format.ts";

/** What one cell of a table says. */
export interface TableCell {
  readonly text: string;
  /** In smaller print: the interval. */
  readonly note?: string;
  /** 0 (good) to 100 (bad), for a tint. */
  readonly harm?: number;
  /** The single values behind it, each with the folder that it was measured in. */
  readonly runs?: readonly { readonly text: string; readonly folder: string }[];
}

/** Short words stay on one line, prose may wrap, numbers stand to the right. */
export interface Column {
  readonly text: string;
  readonly kind: "words" | "prose" | "number";
}

/** A table for any of the formats; a cell without note and tint is its text. */
export interface Table {
  readonly title: string;
  readonly caption: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly (TableCell | string)[])[];
}

const columns =
  (kind: Column["kind"]) =>
  (...texts: readonly string[]): Column[] =>
    texts.map((text) => ({ text, kind }));
export const words = columns("words");
export const prose = columns("prose");
export const numbers = columns("number");

export const cellOf = (cell: TableCell | string): TableCell => (typeof cell === "string" ? { text: cell } : cell);

/** A cell in one line: "42.0 (10.0 to 74.0)". */
export function flatText(cell: TableCell | string, escaped: (text: string) => string): string {
  const { text, note } = cellOf(cell);
  return escaped(text) + (note === undefined ? "" : ` (${escaped(note)})`);
}

/** A mean with its interval. */
export const score = (value: Estimate | undefined): TableCell => ({
  text: value === undefined ? NOTHING : decimal(value.mean),
  ...(value && { note: intervalText(value) }),
  ...(value?.folders && {
    runs: value.folders.flatMap((folder, i) =>
      folder === undefined ? [] : [{ text: decimal(value.values[i] as number), folder }],
    ),
  }),
});

/** The same, tinted by how bad it is. */
export const harm = (value: Estimate | undefined): TableCell => ({
  ...score(value),
  ...(value && { harm: value.mean }),
});
