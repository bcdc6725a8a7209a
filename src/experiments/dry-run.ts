import { existsSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { mean } from "../evaluate/index.ts";
import { isDone } from "../stages/stage.ts";
import { readCost } from "../stages/training-run.ts";
import { idOf } from "./cell-options.ts";
import { prepare } from "./experiment.ts";
import type { ExperimentOptions } from "./options.ts";
import { type Cell, type Key, type Piece, withNeeds } from "./plan.ts";
import { strengthLabel } from "./strengths.ts";

/** What an experiment would do. */
export interface DryRun {
  readonly cells: readonly (Omit<Cell, "method" | "strength"> & {
    readonly method: string;
    readonly strength: string;
  })[];
  readonly pieces: readonly {
    readonly key: Key;
    readonly stage: Piece["stage"];
    readonly label: string;
    readonly state: "there" | "begun" | "to do";
    /** Cells whose scores need it. */
    readonly cells: number;
    /** Predicted from pieces of its kind that are done; absent where there are none, and for evaluations and repairs. */
    readonly seconds?: number;
  }[];
}

/**
 * The plan of an experiment: nothing is computed or written.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, and what `planExperiment` throws
 * @example
 * const { pieces } = await dryRun(options);
 * pieces.filter(({ state }) => state === "to do").length; // 48
 */
export async function dryRun(options: z.input<typeof ExperimentOptions>): Promise<DryRun> {
  const { chosen, plan } = await prepare(options);
  const { pieces, cells, searches } = plan;
  const uses = new Map<Key, number>();
  for (const { before, after } of [...cells, ...searches]) {
    for (const { key } of withNeeds(pieces, [before, after])) uses.set(key, (uses.get(key) ?? 0) + 1);
  }
  const runOf = ({ folder, key }: Piece): string => join(chosen.out, folder, key);
  const isThere = (piece: Piece): boolean =>
    isDone({ stage: piece.stage, options: { ...piece.options, run: runOf(piece) } });
  const known = new Map<string, number[]>();
  for (const piece of pieces.filter(isThere)) {
    const { steps, secondsPerStep } = existsSync(join(runOf(piece), "cost.json"))
      ? readCost(runOf(piece))
      : { steps: 0 };
    if (secondsPerStep === undefined) continue;
    known.set(kindOf(piece), [...(known.get(kindOf(piece)) ?? []), steps * secondsPerStep]);
  }
  return {
    cells: cells.map((cell) => ({
      ...cell,
      method: idOf(chosen, cell.method),
      strength: strengthLabel(chosen, cell.strength),
    })),
    pieces: pieces.map((piece) => {
      const { key, stage, label } = piece;
      const state = isThere(piece) ? "there" : existsSync(runOf(piece)) ? "begun" : "to do";
      const seconds = state === "there" ? undefined : known.get(kindOf(piece));
      const predicted = seconds === undefined ? {} : { seconds: mean(seconds) };
      return { key, stage, label, state, cells: uses.get(key) ?? 0, ...predicted };
    }),
  };
}

/** What the time of a training depends on: neither its seed nor how fast it learns. */
const kindOf = ({ folder, options }: Piece): string => {
  const { method, tune, steps, epochs, sampleNumber, batchSize } = options as Readonly<Record<string, unknown>>;
  return JSON.stringify([folder, method, tune, steps ?? epochs, sampleNumber, batchSize]);
};
