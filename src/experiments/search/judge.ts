import { percent } from "../../report/estimate.ts";
import { type Bounds, isUseful } from "../../report/useful.ts";
import { type EvaluationReport, readEvaluation } from "../../stages/evaluate.ts";
import { scoresOf } from "../scores.ts";
import type { TrialScore } from "./trials.ts";

/** A trial by its evaluation on the search's questions. What a model refuses before the attack is not asked again there. */
export function judged(report: EvaluationReport, bounds: Bounds): TrialScore {
  const after = scoresOf(report, undefined, {});
  return {
    useful: isUseful(bounds, { before: after, after }),
    harmful: percent(after.harmful),
    accuracy: after.accuracy === undefined ? 0 : percent(after.accuracy),
  };
}

/** Scores of evaluations that are done; undefined where there is none. */
export const judgedRuns = (
  runs: readonly (string | undefined)[],
  bounds: Bounds,
): readonly (TrialScore | undefined)[] =>
  runs.map((run) => (run === undefined ? undefined : judged(readEvaluation(run), bounds)));
