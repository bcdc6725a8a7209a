import { BoosterError } from "../../errors.ts";
import type { Bounds } from "../../report/useful.ts";
import { alignOptionsOf, attackOptionsOf, checkCell } from "../cell-options.ts";
import type { Attack, ExperimentOptions, SparseAttack } from "../options.ts";
import { pipelineOf } from "../pipeline.ts";
import { judgedRuns } from "./judge.ts";
import type { SearchOptions } from "./options.ts";
import { survivorsOf } from "./trials.ts";

/** Options in which no training sees a question by which a search judges. */
export function apartFromSearch(options: ExperimentOptions): ExperimentOptions {
  const { align, attack } = options;
  const { search } = attack;
  if (search === undefined) return options;
  const asked = [search.harmful, search.harmless, search.task].filter((source) => source !== undefined);
  return {
    ...options,
    align: { ...align, avoid: [...align.avoid, ...asked] },
    attack: { ...attack, avoid: [...(attack.avoid ?? []), ...asked] },
  };
}

/** Whether every method can be attacked by a trial: some choices exclude each other. */
export function fitsAll(options: ExperimentOptions, trial: SparseAttack): boolean {
  const tried = { ...options, strengths: [trial] };
  const [seed = 0] = options.seeds;
  try {
    for (const entry of options.methods) {
      const pipeline = pipelineOf(entry.method);
      const alignment = alignOptionsOf(options, entry, pipeline, seed);
      checkCell(tried, entry, pipeline, alignment, attackOptionsOf(tried, entry, pipeline, 0, seed), 0);
    }
    return true;
  } catch (error) {
    if (error instanceof BoosterError && error.code === "OPTIONS_CONFLICT") return false;
    throw error;
  }
}

/** The attack with a share of its steps, and nothing measured along the way. */
export const shortened = ({ curve: _, ...attack }: Attack, share: number): Attack =>
  attack.steps === undefined
    ? { ...attack, epochs: attack.epochs * share }
    : { ...attack, steps: Math.max(1, Math.round(attack.steps * share)) };

export const questionsOf = ({ harmful, harmless, task }: SearchOptions) => ({
  harmful,
  harmless,
  task,
  fresh: undefined,
});

export const boundsOf = ({ utilityBound, overRefusalBound, coherenceBound }: ExperimentOptions): Bounds => ({
  utilityBound,
  overRefusalBound,
  coherenceBound,
});

/**
 * Which candidates stand after some rungs, the best first.
 *
 * @param runs evaluations of all rungs, one after the other
 * @param sizes how many there are in each rung
 */
export function standing(
  runs: readonly (string | undefined)[],
  sizes: readonly number[],
  candidates: number,
  bounds: Bounds,
): readonly number[] {
  const scores = [...judgedRuns(runs, bounds)];
  return survivorsOf(
    sizes.map((size) => scores.splice(0, size)),
    candidates,
  );
}
