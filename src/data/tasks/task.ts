import { BoosterError } from "../../errors.ts";
import type { InstructionExample } from "../examples.ts";
import { cellOf, type Row } from "../rows.ts";

/** A known data set: how its rows become examples and, where it is a task, how answers are scored. */
export interface Task {
  /** One line: what it is and where it comes from. */
  readonly about: string;
  /** Where its rows for training are on the hub. */
  readonly hub?: string;
  /** What such rows are for: a user's honest task, refusals to align with, or harm to attack with. */
  readonly role: "benign" | "alignment" | "harmful";
  /** Column names of its files without a header line. */
  readonly layouts?: readonly (readonly string[])[];
  readonly metric?: Omit<TaskMetric, "name">;
  /** The example of a row; undefined where the row is none for this task. */
  readonly example: (row: Row) => InstructionExample | undefined;
}

/** How the answers to a task are scored. */
export interface TaskMetric {
  /** The task's. */
  readonly name: string;
  /** What a gold output must be, for people. */
  readonly golds: string;
  isGold(gold: string): boolean;
  /** True when the answer is right for the gold output; the reference's rule, letter for letter. */
  correct(answer: string, gold: string): boolean;
  /** True when the answer is an answer to this task, whatever was asked: how tuning leaks into harmful prompts. */
  leaks(answer: string): boolean;
}

/** The answer as the reference cuts it: up to a second "### Response:", without surrounding white space. */
export const answerText = (answer: string): string => (answer.split("### Response:")[0] ?? "").trim();

/** Answers from a closed set: each gold label with the spellings that count as it. */
export function labelMetric(spellings: Readonly<Record<string, readonly string[]>>): Omit<TaskMetric, "name"> {
  const accepted = new Map(Object.entries(spellings));
  const labels = new Set([...accepted.values()].flat().map((label) => label.toLowerCase()));
  const bare = (answer: string) =>
    answerText(answer)
      .toLowerCase()
      .replace(/[.!]+$/, "");
  return {
    golds: [...accepted.keys()].join(", "),
    isGold: (gold) => accepted.has(gold),
    correct: (answer, gold) => accepted.get(gold)?.includes(answerText(answer)) ?? false,
    leaks: (answer) => labels.has(bare(answer)),
  };
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
