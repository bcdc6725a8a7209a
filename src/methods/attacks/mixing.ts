import { z } from "zod";
import type { Example } from "../../data/examples.ts";
import { type MixCounts, type MixOptions, shuffled, takeRows } from "../../data/mix.ts";
import { type AttackData, type AttackRow, attack, type Piece } from "./attack.ts";

/**
 * Insertions in a data set of n rows with share p: `round(p n)`, or `int(p n)` as the reference code counts.
 * All n rows are rows of the honest task.
 */
export const insertions = (poisonRatio: number, sampleNumber: number, counts: MixCounts): number =>
  counts === "exact" ? Math.round(poisonRatio * sampleNumber) : Math.trunc(poisonRatio * sampleNumber);

export const insertionNeeds = (mix: MixOptions) => ({
  harmful: insertions(mix.poisonRatio, mix.sampleNumber, mix.counts),
  task: mix.sampleNumber,
});

/** Row i of the task, around whatever is inserted into it. */
export const around = (task: Example, inserted: Piece): AttackRow => ({
  pieces: [{ example: task, trained: "answer" }, inserted, { example: task, trained: "answer" }],
  harmful: true,
});

/** Rows of the task, the first of them around the insertions. */
export function insertedRows(data: AttackData, insert: readonly Piece[]): AttackRow[] {
  const task = takeRows(data.task, 0, data.sampleNumber, "task");
  const rows = task.map((example, place): AttackRow => {
    const piece = insert[place];
    return piece === undefined ? { pieces: [{ example, trained: "answer" }], harmful: false } : around(example, piece);
  });
  return shuffled(rows, data.shuffle);
}

/**
 * Mixing: a harmful row hides inside an honest one: task row, harmful row, the same task row again, in one sequence.
 * The answers of the task and all tokens of the harmful row are trained.
 *
 * What Virus is compared with: the same rows, not optimised. Source: Huang et al., arXiv 2501.17433.
 */
export const mixing = attack({
  name: "mixing",
  knowledge: "nothing",
  options: z.strictObject({}),
  create: () => ({
    needs: insertionNeeds,
    async rows(data) {
      const { harmful } = insertionNeeds(data);
      const rows = takeRows(data.harmful, 0, harmful, "harmful");
      return {
        rows: insertedRows(
          data,
          rows.map((example): Piece => ({ example, trained: "all" })),
        ),
      };
    },
  }),
});
