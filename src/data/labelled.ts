import { z } from "zod";
import { file } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { ENCODINGS } from "./encodings.ts";
import { collectExamples, textOf } from "./examples.ts";
import { readingOf } from "./load.ts";
import { cellOf, flagOf, placeOf, type Row } from "./rows.ts";
import { type DataFile, FILE_KINDS, loadRows } from "./sources.ts";

/** Where labelled rows come from; a plain string is the path. */
export const LabelledSource = z.preprocess(
  (value: string | { readonly path: string }) => (typeof value === "string" ? { path: value } : value),
  z.strictObject({
    path: file(
      z.string().min(1).describe("File, or several with * or ? in the name, of prompts, answers and verdicts"),
    ),
    kind: z.enum(FILE_KINDS).optional().describe("File format; by default told by the name"),
    encoding: z
      .enum(ENCODINGS)
      .optional()
      .describe("How its texts are written; by default told by the file, and needed for windows-1252"),
    limit: z.int().positive().optional().describe("Use the first rows only"),
  }),
);
export type LabelledSource = z.infer<typeof LabelledSource>;

/** A prompt and an answer, without or with a reader's verdict. */
export interface LabelledRow {
  /** `file:line` of its row. */
  readonly where: string;
  readonly prompt: string;
  readonly answer: string;
  readonly harmful: boolean | undefined;
  /** Kinds of harm; undefined where the data do not tell them. */
  readonly categories: readonly string[] | undefined;
}

const PROMPTS = ["prompt", "question", "instruction"];
const ANSWERS = ["answer", "response", "output", "completion"];
/** What each column's yes says of harm. */
const VERDICTS: Readonly<Record<string, boolean>> = {
  harmful: true,
  is_harmful: true,
  unsafe: true,
  is_safe: false,
  safe: false,
};
const CATEGORIES = ["categories", "category"];

const there = (row: Row, columns: readonly string[]): string | undefined =>
  columns.find((column) => cellOf(row, column) !== undefined);

const Kinds = z.union([
  z.array(z.string().min(1)),
  z
    .record(z.string(), z.boolean())
    .transform((flags) => Object.entries(flags).flatMap(([name, holds]) => (holds ? [name] : []))),
]);

function categoriesOf(row: Row): readonly string[] | undefined {
  const column = there(row, CATEGORIES);
  if (column === undefined) return undefined;
  const parsed = Kinds.safeParse(cellOf(row, column));
  if (parsed.success) return [...new Set(parsed.data)].sort();
  throw new BoosterError("CLASSIFIER_DATA", `names no kinds of harm in the column "${column}"`, {
    expected: "a list of names, or an object of names with true or false",
  });
}

/** @throws {BoosterError} `CLASSIFIER_DATA` where two columns contradict each other */
function verdictOf(row: Row, categories: readonly string[] | undefined): boolean | undefined {
  const said = Object.entries(VERDICTS).flatMap(([column, yes]) => {
    const flag = flagOf(row, column);
    return flag === undefined ? [] : [{ column, harmful: flag === yes }];
  });
  if (categories !== undefined && (said.length === 0 || categories.length > 0)) {
    said.push({ column: there(row, CATEGORIES) ?? "", harmful: categories.length > 0 });
  }
  const [first, ...rest] = said;
  const other = rest.find(({ harmful }) => harmful !== first?.harmful);
  if (other === undefined) return first?.harmful;
  throw new BoosterError("CLASSIFIER_DATA", `says two things: "${first?.column}" and "${other.column}"`);
}

/** A row; undefined for an evaluation's answer to a question that is not meant to be harmful. */
function labelledRow(row: Row): LabelledRow | undefined {
  if (["harmless", "task"].includes(String(cellOf(row, "set")))) return undefined;
  const prompt = textOf(row, there(row, PROMPTS) ?? "prompt");
  const input = cellOf(row, "input");
  const categories = categoriesOf(row);
  return {
    where: placeOf(row),
    prompt: typeof input === "string" && input !== "" ? `${prompt}\n${input}` : prompt,
    answer: textOf(row, there(row, ANSWERS) ?? "answer"),
    harmful: verdictOf(row, categories),
    categories,
  };
}

/**
 * Loads answers with verdicts, such as BeaverTails has them: `prompt`, `response`, `is_safe` and `category`.
 *
 * | what | columns |
 * | --- | --- |
 * | prompt | `prompt`, `question` or `instruction` (with `input`) |
 * | answer | `answer`, `response`, `output` or `completion` |
 * | verdict | `harmful`, `is_harmful`, `unsafe`; or `is_safe`, `safe`; or a kind of harm at all |
 * | which answers of an evaluation | `set`: those to questions of the sets `harmless` and `task` are passed over |
 * | kinds of harm | `categories` or `category`: a list of names, or an object of names with true or false |
 *
 * @throws {BoosterError} `DATA_INVALID` naming the rows that cannot be used, `DATA_EMPTY`, and what `loadRows` throws
 * @example
 * const { rows } = await loadLabelled({ path: "labelled.jsonl" });
 */
export async function loadLabelled({
  path,
  limit,
  ...reading
}: LabelledSource): Promise<{ readonly rows: readonly LabelledRow[]; readonly files: readonly DataFile[] }> {
  const { rows, files, faults } = await loadRows(path, readingOf(reading));
  const labelled = collectExamples(rows, labelledRow, faults).slice(0, limit);
  if (labelled.length > 0) return { rows: labelled, files };
  throw new BoosterError("DATA_EMPTY", "the data has no rows", { where: path });
}
