import { BoosterError } from "../../errors.ts";
import type { InstructionExample } from "../examples.ts";
import { cellOf, type Row } from "../rows.ts";

/** How the rows of a known data set become examples. */
export interface Task {
  /** One line: what it is and where it comes from. */
  readonly about: string;
  /** What such rows are for: a user's honest task, refusals to align with, or harm to attack with. */
  readonly role: "benign" | "alignment" | "harmful";
  /** Column names of its files without a header line. */
  readonly layouts?: readonly (readonly string[])[];
  /** The answers of a classification task. */
  readonly answers?: readonly string[];
  /** The example of a row; undefined where the row is none for this task. */
  readonly example: (row: Row) => InstructionExample | undefined;
}

/**
 * The label in a column as the answer that it stands for.
 *
 * @param first the number that stands for the first answer
 * @throws {BoosterError} `LABEL_UNKNOWN`
 */
export function answerOf(row: Row, column: string, answers: readonly string[], first = 0): string {
  const value = cellOf(row, column);
  const isNumber = typeof value === "number" || (typeof value === "string" && /^\d+$/.test(value));
  const answer = isNumber ? answers[Number(value) - first] : undefined;
  if (answer !== undefined) return answer;
  throw new BoosterError("LABEL_UNKNOWN", `has no known label in the column "${column}"`, {
    expected: `${first} to ${first + answers.length - 1}`,
    found: isNumber ? String(value) : typeof value,
  });
}
