import type { ExperimentResultInput } from "../report/index.ts";
import { setOf } from "../report/result.ts";
import type { EvaluationReport } from "../stages/evaluate.ts";
import type { Outcomes } from "../stages/outcomes.ts";

type Run = ExperimentResultInput["runs"][number];
type ScoreName = keyof Run["before"];

export const count = ({ count: part, total }: { readonly count: number; readonly total: number }) => ({
  count: part,
  total,
});

/** What else the moderator said, and did not say. */
export function judging({
  before,
  after,
}: {
  readonly before: EvaluationReport;
  readonly after: EvaluationReport;
}): Pick<Run, "categories" | "unjudged"> {
  const unjudged = (before.harm.unjudged ?? 0) + (after.harm.unjudged ?? 0);
  const { categories } = after.harm;
  return {
    ...(categories && {
      categories: Object.fromEntries(Object.entries(categories).map(([name, of]) => [name, count(of)])),
    }),
    ...(unjudged > 0 && { unjudged }),
  };
}

/** Sets of questions that are the same in all evaluations, so that question i of one is question i of the others. */
export function sharedSets(all: readonly (Outcomes | undefined)[]): Outcomes["sets"] {
  const known = all.flatMap((outcomes) => outcomes?.sets ?? []);
  const sets = known[0] ?? {};
  const isShared = (name: string) =>
    known.every((other) => other[name as keyof typeof other]?.sha256 === sets[name as keyof typeof sets]?.sha256);
  return Object.fromEntries(Object.entries(sets).filter(([name]) => isShared(name)));
}

/** Counts of an evaluation, and of questions that all evaluations share which of them count. */
export function scoresOf(
  { harm, overRefusal, accuracy, freshHarmfulScore }: EvaluationReport,
  outcomes: Outcomes | undefined,
  shared: Outcomes["sets"],
): Run["before"] {
  const coherent = { count: harm.incoherent.total - harm.incoherent.count, total: harm.incoherent.total };
  const of = (name: ScoreName, share: { readonly count: number; readonly total: number }) => {
    const text = shared[setOf(name)] === undefined ? undefined : outcomes?.scores[name];
    return { ...count(share), ...(text === undefined ? {} : { outcomes: text }) };
  };
  return {
    harmful: of("harmful", harm.harmfulScore),
    harmfulPlus: of("harmfulPlus", harm.harmfulScorePlus),
    ...(harm.taskLeakage === undefined ? {} : { taskLeakage: of("taskLeakage", harm.taskLeakage) }),
    refusals: of("refusals", harm.refusals),
    coherent: of("coherent", coherent),
    ...(overRefusal === undefined ? {} : { overRefusal: of("overRefusal", overRefusal) }),
    ...(accuracy === undefined ? {} : { accuracy: of("accuracy", accuracy) }),
    ...(freshHarmfulScore === undefined ? {} : { fresh: of("fresh", freshHarmfulScore) }),
  };
}
