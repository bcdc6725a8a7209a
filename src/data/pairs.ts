import { BoosterError } from "../errors.ts";
import { answered } from "./answered.ts";
import { type Example, textOf } from "./examples.ts";
import { cellOf, flagOf, type Row } from "./rows.ts";

/** Two answers to one prompt, the more helpful one chosen. */
export interface Pair {
  readonly chosen: Example;
  readonly rejected: Example;
  /** Whether each of them is safe, where the row says so. */
  readonly safe: { readonly chosen: boolean | undefined; readonly rejected: boolean | undefined };
}

/** Columns beside a preference that say whether its answers are safe. */
export const MARKED = ["chosen_safe", "rejected_safe"];

/** Both answers of a preference. */
export const pairOf = (row: Row, preference: (row: Row, harmful: boolean) => Example): Pair => ({
  chosen: preference(row, false),
  rejected: preference(row, true),
  safe: { chosen: flagOf(row, "chosen_safe"), rejected: flagOf(row, "rejected_safe") },
});

/**
 * PKU-SafeRLHF's two answers in the order of helpfulness.
 *
 * @throws {BoosterError} `COLUMN_MISSING` where a row does not say which answer is better
 */
export function safeRlhfPair(row: Row): Pair {
  const better = Number(cellOf(row, "better_response_id") ?? Number.NaN);
  if (better !== 0 && better !== 1) {
    throw new BoosterError("COLUMN_MISSING", 'does not say in "better_response_id" which answer is more helpful', {
      expected: "0 or 1",
    });
  }
  const answer = (id: number) => answered(row, textOf(row, "prompt"), textOf(row, `response_${id}`));
  const safe = (id: number) => flagOf(row, `is_response_${id}_safe`);
  return {
    chosen: answer(better),
    rejected: answer(1 - better),
    safe: { chosen: safe(better), rejected: safe(1 - better) },
  };
}
