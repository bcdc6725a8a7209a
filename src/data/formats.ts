import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { collectExamples, type Example, instructionExample, textOf } from "./examples.ts";
import { cellOf, placeOf, type Row } from "./rows.ts";

/** Turns of one conversation. */
export const MAX_MESSAGES = 1024;

interface RowFormat {
  /** The columns by which it is recognised. */
  readonly columns: readonly string[];
  readonly example: (row: Row) => Example;
}

const Messages = z
  .array(z.object({ role: z.enum(["system", "developer", "user", "assistant", "tool"]), content: z.string() }))
  .min(1)
  .max(MAX_MESSAGES);

function conversation(row: Row): Example {
  const messages = Messages.safeParse(cellOf(row, "messages"));
  if (messages.success) return { kind: "chat", where: placeOf(row), messages: messages.data };
  const [issue] = messages.error.issues;
  throw new BoosterError("MESSAGES_INVALID", 'has no conversation in "messages"', {
    found: `${issue?.path.join(".") || "messages"}: ${issue?.message}`,
  });
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

/**
 * Tells by its columns how a row is written.
 *
 * @throws {BoosterError} `DATA_COLUMNS_UNKNOWN` naming the columns that are there and those that would do
 */
export function detectFormat(row: Row): FormatName {
  const name = FORMAT_NAMES.find((format) =>
    FORMATS[format].columns.every((column) => Object.hasOwn(row.values, column)),
  );
  if (name !== undefined) return name;
  throw new BoosterError("DATA_COLUMNS_UNKNOWN", "the columns fit no known format", {
    expected: FORMAT_NAMES.map((format) => `${FORMATS[format].columns.join(" + ")} (${format})`).join(", or "),
    found: Object.keys(row.values).join(", "),
    where: placeOf(row),
  });
}

/**
 * Turns rows into training examples and says which format was taken.
 *
 * @param format by default told by the first row
 * @throws {BoosterError} `DATA_EMPTY`, `DATA_COLUMNS_UNKNOWN`, `DATA_INVALID`
 * @example
 * const { format, examples } = readExamples(rows);
 */
export function readExamples(
  rows: readonly Row[],
  format?: FormatName,
): { readonly format: FormatName; readonly examples: Example[] } {
  const [first] = rows;
  if (first === undefined) throw new BoosterError("DATA_EMPTY", "the data has no rows");
  const chosen = format ?? detectFormat(first);
  return { format: chosen, examples: collectExamples(rows, FORMATS[chosen].example) };
}
