import { BoosterError } from "../errors.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import type { Question } from "./duplicates.ts";
import { cellOf, FaultList, placeOf, type Row } from "./rows.ts";

/** A task with one answer; `input` may be empty. */
export interface InstructionExample {
  readonly kind: "instruction";
  /** `file:line` of its row. */
  readonly where: string;
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

/** A conversation; its assistant turns are trained. */
export interface ChatExample {
  readonly kind: "chat";
  readonly where: string;
  readonly messages: readonly ChatMessage[];
  /** What else the chat template is given, such as `tools`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

export type Example = InstructionExample | ChatExample;

/** An instruction example from a row's texts. */
export const instructionExample = (row: Row, instruction: string, output: string, input = ""): InstructionExample => ({
  kind: "instruction",
  where: placeOf(row),
  instruction,
  input,
  output,
});

/** The conversation of an example; an instruction and its input become one user message. */
export function messagesOf(example: Example | Omit<InstructionExample, "kind" | "where">): readonly ChatMessage[] {
  if ("messages" in example) return example.messages;
  const { instruction, input, output } = example;
  return [
    { role: "user", content: input === "" ? instruction : `${instruction}\n\n${input}` },
    { role: "assistant", content: output },
  ];
}

/** The text in a column. @throws {BoosterError} `COLUMN_MISSING`, `COLUMN_NOT_TEXT` */
export function textOf(row: Row, column: string): string {
  const value = cellOf(row, column);
  if (typeof value === "string") return value;
  if (value === undefined) {
    throw new BoosterError("COLUMN_MISSING", `lacks the column "${column}"`, {
      found: Object.keys(row.values).join(", "),
    });
  }
  throw new BoosterError("COLUMN_NOT_TEXT", `has no text in the column "${column}"`, { found: typeof value });
}

/**
 * Makes examples of rows; a row for which `make` returns undefined is passed over.
 *
 * @param faults what reading the rows found
 * @throws {BoosterError} `DATA_INVALID` listing these, and the rows that `make` refused
 */
export function collectExamples<T>(
  rows: readonly Row[],
  make: (row: Row) => T | undefined,
  faults = new FaultList(),
): T[] {
  const examples: T[] = [];
  for (const row of rows) {
    try {
      const example = make(row);
      if (example !== undefined) examples.push(example);
    } catch (error) {
      if (!(error instanceof BoosterError)) throw error;
      faults.add(row.file, { line: row.line, column: 0, code: error.code, problem: error.message });
    }
  }
  faults.throwIfAny();
  return examples;
}

/** What an example asks, to tell whether another asks the same: its instruction and its input; of a conversation what the user says. */
export function questionOf(example: Example): Question {
  if (example.kind === "instruction") return example;
  const said = example.messages.filter(({ role }) => role === "user").map(({ content }) => content);
  return { instruction: said.join("\n"), input: "" };
}
