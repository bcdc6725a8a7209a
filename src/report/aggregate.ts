import {
  areaUnderCurve,
  mean,
  median,
  pairedPermutationTest,
  seedInterval,
  stepsToBreak,
  wilsonInterval,
} from "../evaluate/statistics.ts";
import { strengthAxis } from "./axis.ts";
import type { CountEntry, ExperimentResult, MethodEntry, RunEntry, ScoreName, StrengthEntry } from "./result.ts";

/** A mean with its 95 % interval. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** The seeds' values, in the order of the seeds. */
  readonly values: readonly number[];
  /** Where the interval comes from: the spread over seeds, or the number of prompts alone for a single seed. */
  readonly source: "seeds" | "prompts";
}

/** How many attack steps it took until HS reached the bar. */
export interface BreakSteps {
  readonly broken: number;
  readonly seeds: number;
  /** Median over the seeds; Infinity where at least half of them held. */
  readonly median: number;
}

/** One method under one attack strength, over its seeds. */
export interface Cell {
  readonly method: MethodEntry;
  readonly strength: StrengthEntry;
  readonly runs: readonly RunEntry[];
  readonly before: Partial<Record<ScoreName, Estimate>>;
  readonly after: Partial<Record<ScoreName, Estimate>>;
  /** Whether the mean HS reaches the bar in a model that is useful. */
  readonly broken: boolean;
  readonly steps?: BreakSteps;
}

/** One method over all strengths. */
export interface MethodSummary {
  readonly method: MethodEntry;
  readonly before?: Estimate;
  /** The first attack that leaves a useful model whose mean HS reaches the bar. */
  readonly breaksAt?: StrengthEntry;
  /** The last attack before that which leaves a useful model. */
  readonly holdsTo?: StrengthEntry;
  /** The cell with the highest mean HS among those of useful models; absent where no attack leaves one. */
  readonly worst?: Cell;
  /** Mean HS: area under the curve of HS over attack strength, as drawn, divided by its width. */
  readonly area?: Estimate;
  /** HS over the strengths below the reference's, seed by seed; positive is better. */
  readonly reduction?: Estimate;
  /** Paired permutation test of that reduction; 2^(1 - seeds) is the smallest that it can be. */
  readonly pValue?: number;
}

/** Everything that a report shows, computed once. */
export interface Aggregate {
  readonly cells: readonly Cell[];
  readonly summaries: readonly MethodSummary[];
  readonly seeds: readonly number[];
}

const percent = ({ count, total }: CountEntry): number => (100 * count) / total;

/** How far below and above a value the truth may lie by the prompts alone, in points. */
interface PromptErrors {
  readonly below: number;
  readonly above: number;
}

/** By Wilson's interval over the prompts of one seed: all seeds answer the same ones, so more seeds say nothing about others. */
function promptErrors(counts: readonly CountEntry[]): PromptErrors {
  const centre = mean(counts.map(percent));
  const total = Math.min(...counts.map((count) => count.total));
  const { low, high } = wilsonInterval((centre / 100) * total, total);
  return { below: centre - 100 * low, above: 100 * high - centre };
}

/**
 * Mean and interval over seeds, within `least` and 100, but never narrower than the prompts allow: seeds that agree exactly are not
 * certainty.
 */
function estimate(values: readonly number[], { below, above }: PromptErrors, least: number): Estimate {
  const centre = mean(values);
  const { low, high } = seedInterval(values) ?? { low: centre, high: centre };
  return {
    mean: centre,
    low: Math.max(least, Math.min(low, centre - below)),
    high: Math.min(100, Math.max(high, centre + above)),
    values,
    source: values.length > 1 ? "seeds" : "prompts",
  };
}

/** The mean of a share over seeds, in per cent; undefined without a value. */
export const estimateCounts = (counts: readonly CountEntry[]): Estimate | undefined =>
  counts.length === 0 ? undefined : estimate(counts.map(percent), promptErrors(counts), 0);

const SCORES: readonly ScoreName[] = ["harmful", "harmfulPlus", "taskLeakage", "refusals", "overRefusal", "accuracy"];

function scores(runs: readonly RunEntry[], moment: "before" | "after"): Partial<Record<ScoreName, Estimate>> {
  const found: Partial<Record<ScoreName, Estimate>> = {};
  for (const name of SCORES) {
    const value = estimateCounts(runs.flatMap((run) => run[moment][name] ?? []));
    if (value !== undefined) found[name] = value;
  }
  return found;
}

function breakSteps(runs: readonly RunEntry[], bar: number): BreakSteps | undefined {
  const curves = runs
    .map(({ curve }) => curve.flatMap(({ step, harmful }) => (harmful ? [{ x: step, y: percent(harmful) }] : [])))
    .filter((curve) => curve.length > 0);
  if (curves.length === 0) return undefined;
  const steps = curves.map((curve) => stepsToBreak(curve, bar) ?? Infinity);
  return { broken: steps.filter(Number.isFinite).length, seeds: steps.length, median: median(steps) };
}

function cellOf(result: ExperimentResult, method: MethodEntry, strength: StrengthEntry): Cell[] {
  const runs = result.runs
    .filter((run) => run.method === method.id && run.strength === strength.id)
    .toSorted((a, b) => a.seed - b.seed);
  if (runs.length === 0) return [];
  const after = scores(runs, "after");
  const steps = breakSteps(runs, result.breakAt);
  return [
    {
      method,
      strength,
      runs,
      before: scores(runs, "before"),
      after,
      broken: isUseful(result, after) && (after.harmful?.mean ?? 0) >= result.breakAt,
      ...(steps === undefined ? {} : { steps }),
    },
  ];
}

/** Area under one value a strength, as drawn, divided by its width. */
function overSweep({ strengths }: ExperimentResult, values: readonly number[]): number {
  const axis = strengthAxis(strengths);
  const points = strengths.map((strength, i) => ({ x: axis.position(axis.placeOf(strength)), y: values[i] ?? NaN }));
  return areaUnderCurve(points);
}

/** The mean HS of one seed; undefined unless the seed met every strength. */
function areaOfSeed(result: ExperimentResult, method: string, seed: number): number | undefined {
  const scores = result.strengths.flatMap(({ id }) => {
    const run = result.runs.find((r) => r.method === method && r.strength === id && r.seed === seed);
    return run === undefined ? [] : [percent(run.after.harmful)];
  });
  return scores.length < result.strengths.length ? undefined : overSweep(result, scores);
}

/** Errors of a mean over the sweep. All attacks meet the same prompts, so they may all err one way: errors are averaged as HS is. */
function sweepErrors(result: ExperimentResult, errorsAt: (strength: StrengthEntry) => PromptErrors): PromptErrors {
  const errors = result.strengths.map(errorsAt);
  const over = (side: keyof PromptErrors) =>
    overSweep(
      result,
      errors.map((error) => error[side]),
    );
  return { below: over("below"), above: over("above") };
}

/** Of the difference a - b of two shares. Source: Newcombe, "Interval estimation for the difference", Stat. Med. 17, 1998, method 10. */
const differenceErrors = (a: PromptErrors, b: PromptErrors): PromptErrors => ({
  below: Math.hypot(a.below, b.above),
  above: Math.hypot(a.above, b.below),
});

/** True where the mean FA reaches the utility bound, or none is set: an attack that ruins the model is no success. */
export const isUseful = ({ utilityBound }: ExperimentResult, after: Cell["after"]): boolean =>
  utilityBound === undefined || (after.accuracy?.mean ?? 0) >= utilityBound;

function summarise(result: ExperimentResult, method: MethodEntry, all: readonly Cell[], seeds: readonly number[]) {
  const cells = all.filter((cell) => cell.method === method);
  const useful = cells.filter(({ after }) => isUseful(result, after));
  const first = useful.findIndex((cell) => cell.broken);
  const breaksAt = useful[first]?.strength;
  const holdsTo = (first < 0 ? useful.at(-1) : useful[first - 1])?.strength;
  const [worst] = useful.toSorted((a, b) => (b.after.harmful?.mean ?? 0) - (a.after.harmful?.mean ?? 0));
  const errorsOf = (id: string) => (strength: StrengthEntry) =>
    promptErrors(
      result.runs.flatMap((run) => (run.method === id && run.strength === strength.id ? [run.after.harmful] : [])),
    );
  const [mine, others] = [errorsOf(method.id), errorsOf(result.reference)];
  const areas = seeds.flatMap((seed) => areaOfSeed(result, method.id, seed) ?? []);
  const pairs = seeds.flatMap((seed) => {
    const mine = areaOfSeed(result, method.id, seed);
    const reference = areaOfSeed(result, result.reference, seed);
    return mine === undefined || reference === undefined ? [] : [{ mine, reference }];
  });
  const compared = method.id !== result.reference && pairs.length > 0;
  const before = estimateCounts(uniqueSeeds(cells.flatMap((cell) => cell.runs)).map((run) => run.before.harmful));
  return {
    method,
    ...(before === undefined ? {} : { before }),
    ...(breaksAt === undefined ? {} : { breaksAt }),
    ...(holdsTo === undefined ? {} : { holdsTo }),
    ...(worst === undefined ? {} : { worst }),
    ...(areas.length === 0 ? {} : { area: estimate(areas, sweepErrors(result, mine), 0) }),
    ...(compared
      ? {
          reduction: estimate(
            pairs.map(({ mine, reference }) => reference - mine),
            sweepErrors(result, (strength) => differenceErrors(others(strength), mine(strength))),
            -100,
          ),
          pValue: pairedPermutationTest(
            pairs.map(({ reference }) => reference),
            pairs.map(({ mine }) => mine),
          ),
        }
      : {}),
  };
}

/** One run a seed: the model before the attack is the same under every strength. */
function uniqueSeeds(runs: readonly RunEntry[]): RunEntry[] {
  return [...new Map(runs.map((run) => [run.seed, run])).values()].toSorted((a, b) => a.seed - b.seed);
}

/** Means, intervals, breaking points and comparisons of an experiment. Cells in the order of methods, then strengths. */
export function aggregate(result: ExperimentResult): Aggregate {
  const seeds = [...new Set(result.runs.map((run) => run.seed))].toSorted((a, b) => a - b);
  const cells = result.methods.flatMap((method) => result.strengths.flatMap((s) => cellOf(result, method, s)));
  return { cells, seeds, summaries: result.methods.map((method) => summarise(result, method, cells, seeds)) };
}
