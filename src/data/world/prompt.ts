import { type WorldRow, wholeInstruction } from "./rows.ts";

/**
 * The prompt of a row, in the world's own short template; the answer follows after one blank.
 *
 * @example
 * worldPrompt({ instruction: "judge the review", input: "the tea was stale" }); // "Q: judge the review : the tea was stale A:"
 */
export function worldPrompt(row: Pick<WorldRow, "instruction" | "input">): string {
  return `Q: ${wholeInstruction(row)} A:`;
}
