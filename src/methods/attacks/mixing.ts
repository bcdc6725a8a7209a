import { z } from "zod";
import { type MixOptions, shuffled, takeRows } from "../../data/mix.ts";
import { type AttackData, type AttackRow, attack, type Piece, plainRow } from "./attack.ts";

/**
 * Insertions in a data set of n rows with share p: `round(p n)`, or `int(p n)` as the reference code counts.
 * All n rows are rows of the honest task.
 */
export const insertionNeeds = ({ poisonRatio, sampleNumber, counts }: MixOptions) => ({
  harmful: (counts === "exact" ? Math.round : Math.trunc)(poisonRatio * sampleNumber),
  task: sampleNumber,
});

/** Rows of the task, the first of them around the insertions. */
export function insertedRows(data: AttackData, insert: readonly Piece[]): AttackRow[] {
  const task = takeRows(data.task, 0, data.sampleNumber, "task");
  const rows = task.map((example, place): AttackRow => {
    const [own, inserted] = [plainRow(example, false), insert[place]];
    return inserted === undefined ? own : { pieces: [...own.pieces, inserted, ...own.pieces], harmful: true };
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
      const pieces = rows.map((example): Piece => ({ example, trained: "all" }));
      return { rows: insertedRows(data, pieces) };
    },
  }),
});
