import { BoosterError } from "../errors.ts";
import { conversation } from "./conversation.ts";
import { collectExamples, type Example, instructionExample, textOf } from "./examples.ts";
import { cellOf, FaultList, placeOf, type Row } from "./rows.ts";

interface RowFormat {
  /** The columns by which it is recognised. */
  readonly columns: readonly string[];
  readonly example: (row: Row) => Example;
}

function alpaca(row: Row): Example {
  const input = cellOf(row, "input") == null ? "" : textOf(row, "input");
  return instructionExample(row, textOf(row, "instruction"), textOf(row, "output"), input);
}

/** Ways to write a training example down; one row each, the first that fits is taken. */
const FORMATS = {
  messages: { columns: ["messages"], example: conversation },
  alpaca: { columns: ["instruction", "output"], example: alpaca },
  "prompt-completion": {
    columns: ["prompt", "completion"],
    example: (row) => instructionExample(row, textOf(row, "prompt"), textOf(row, "completion")),
  },
  "prompt-response": {
    columns: ["prompt", "response"],
    example: (row) => instructionExample(row, textOf(row, "prompt"), textOf(row, "response")),
  },
} as const satisfies Readonly<Record<string, RowFormat>>;

export type FormatName = keyof typeof FORMATS;
export const FORMAT_NAMES = Object.keys(FORMATS) as [FormatName, ...FormatName[]];

const formatOf = (row: Row): FormatName | undefined =>
  FORMAT_NAMES.find((format) => FORMATS[format].columns.every((column) => Object.hasOwn(row.values, column)));

/**
 * Turns rows into training examples and says which format was taken.
 *
 * @param format by default told by the columns of the first row that fits one
 * @param faults what reading the rows found
 * @throws {BoosterError} `DATA_EMPTY`, `DATA_COLUMNS_UNKNOWN` naming the columns that are there and those that would do,
 * `DATA_INVALID`
 * @example
 * const { format, examples } = readExamples(rows);
 */
export function readExamples(
  rows: readonly Row[],
  format?: FormatName,
  faults = new FaultList(),
): { readonly format: FormatName; readonly examples: Example[] } {
  const known = rows.find((row) => formatOf(row) !== undefined);
  const chosen = format ?? (known && formatOf(known));
  const [first] = rows;
  if (first !== undefined && chosen !== undefined) {
    return { format: chosen, examples: collectExamples(rows, FORMATS[chosen].example, faults) };
  }
  faults.throwIfAny();
  if (first === undefined) throw new BoosterError("DATA_EMPTY", "the data has no rows");
  throw new BoosterError("DATA_COLUMNS_UNKNOWN", "the columns fit no known format", {
    expected: FORMAT_NAMES.map((name) => `${FORMATS[name].columns.join(" + ")} (${name})`).join(", or "),
    found: Object.keys(first.values).join(", "),
    where: placeOf(first),
  });
}
