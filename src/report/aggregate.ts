import {
  areaUnderCurve,
  mean,
  median,
  pairedPermutationTest,
  seedInterval,
  stepsToBreak,
  wilsonInterval,
} from "../evaluate/statistics.ts";
import {
  type AlignmentPointEntry,
  type CountEntry,
  type ExperimentResult,
  type MethodEntry,
  type RunEntry,
  SCORE_NAMES,
  type ScoreName,
  type StrengthEntry,
} from "./result.ts";
import { sweepOf } from "./sweep.ts";

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
  readonly steps: BreakSteps | undefined;
}

/** One method over all strengths. */
export interface MethodSummary {
  readonly method: MethodEntry;
  readonly before: Estimate | undefined;
  /** The first attack that leaves a useful model whose mean HS reaches the bar. */
  readonly breaksAt: StrengthEntry | undefined;
  /** The last attack before that which leaves a useful model. */
  readonly holdsTo: StrengthEntry | undefined;
  /** The cell with the highest mean HS among those of useful models; absent where no attack leaves one. */
  readonly worst: Cell | undefined;
  /** Mean HS: area under the curve of HS over attack strength, as drawn, divided by its width. */
  readonly area: Estimate | undefined;
  /** HS over the strengths below the reference's, seed by seed; positive is better. */
  readonly reduction?: Estimate;
  /** Paired permutation test of that reduction; 2^(1 - seeds) is the smallest that it can be. */
  readonly pValue?: number;
}

/** Everything that a report shows, computed once. */
export interface Aggregate {
  readonly result: ExperimentResult;
  /** The method that the others are compared with. */
  readonly reference: MethodEntry;
  readonly cells: readonly Cell[];
  readonly summaries: readonly MethodSummary[];
  readonly seeds: readonly number[];
}

/** A share in per cent. */
export const percent = ({ count, total }: CountEntry): number => (100 * count) / total;

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

const scores = (runs: readonly RunEntry[], moment: "before" | "after"): Cell["after"] =>
  Object.fromEntries(
    SCORE_NAMES.flatMap((name) => {
      const value = estimateCounts(runs.flatMap((run) => run[moment][name] ?? []));
      return value === undefined ? [] : [[name, value]];
    }),
  );

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
  return [
    {
      method,
      strength,
      runs,
      before: scores(runs, "before"),
      after,
      broken: isUseful(result, after) && (after.harmful?.mean ?? 0) >= result.breakAt,
      steps: breakSteps(runs, result.breakAt),
    },
  ];
}

/** Area under one value a strength, as drawn, divided by its width. */
function overSweep({ strengths }: ExperimentResult, values: readonly number[]): number {
  const { positionOf } = sweepOf(strengths);
  return areaUnderCurve(strengths.map((strength, i) => ({ x: positionOf(strength), y: values[i] ?? NaN })));
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
  const sides = (side: keyof PromptErrors) => errors.map((error) => error[side]);
  return { below: overSweep(result, sides("below")), above: overSweep(result, sides("above")) };
}

/** Of the difference a - b of two shares. Source: Newcombe, "Interval estimation for the difference", Stat. Med. 17, 1998, method 10. */
const differenceErrors = (a: PromptErrors, b: PromptErrors): PromptErrors => ({
  below: Math.hypot(a.below, b.above),
  above: Math.hypot(a.above, b.below),
});

/** True where the mean FA reaches the utility bound, or none is set: an attack that ruins the model is no success. */
export const isUseful = ({ utilityBound }: ExperimentResult, after: Cell["after"]): boolean =>
  utilityBound === undefined || (after.accuracy?.mean ?? 0) >= utilityBound;

function summarise(
  result: ExperimentResult,
  method: MethodEntry,
  all: readonly Cell[],
  seeds: readonly number[],
): MethodSummary {
  const cells = all.filter((cell) => cell.method === method);
  const useful = cells.filter(({ after }) => isUseful(result, after));
  const first = useful.findIndex((cell) => cell.broken);
  const errorsOf = (id: string) => (strength: StrengthEntry) =>
    promptErrors(
      result.runs.flatMap((run) => (run.method === id && run.strength === strength.id ? [run.after.harmful] : [])),
    );
  const [mine, others] = [errorsOf(method.id), errorsOf(result.reference)];
  const areas = seeds.flatMap((seed) => areaOfSeed(result, method.id, seed) ?? []);
  const pairs = seeds.flatMap((seed) => {
    const own = areaOfSeed(result, method.id, seed);
    const reference = areaOfSeed(result, result.reference, seed);
    return own === undefined || reference === undefined ? [] : [{ own, reference }];
  });
  const compared = method.id !== result.reference && pairs.length > 0;
  return {
    method,
    before: estimateCounts(uniqueSeeds(cells.flatMap((cell) => cell.runs)).map((run) => run.before.harmful)),
    breaksAt: useful[first]?.strength,
    holdsTo: (first < 0 ? useful.at(-1) : useful[first - 1])?.strength,
    worst: useful.toSorted((a, b) => (b.after.harmful?.mean ?? 0) - (a.after.harmful?.mean ?? 0))[0],
    area: areas.length === 0 ? undefined : estimate(areas, sweepErrors(result, mine), 0),
    ...(compared && {
      reduction: estimate(
        pairs.map(({ own, reference }) => reference - own),
        sweepErrors(result, (strength) => differenceErrors(others(strength), mine(strength))),
        -100,
      ),
      pValue: pairedPermutationTest(
        pairs.map(({ reference }) => reference),
        pairs.map(({ own }) => own),
      ),
    }),
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
  const summaries = result.methods.map((method) => summarise(result, method, cells, seeds));
  const reference = result.methods.find(({ id }) => id === result.reference) as MethodEntry;
  return { result, reference, cells, seeds, summaries };
}

/** The cell of a method under a strength, where it was run. */
export const cellAt = (
  { cells }: Aggregate,
  method: MethodEntry,
  strength: StrengthEntry | undefined,
): Cell | undefined => cells.find((cell) => cell.method === method && cell.strength === strength);

/** What one simulated harmful step gains; undefined where it was not measured. */
export const gainOf = ({ harmfulLossBefore: before, harmfulLossAfter: after }: Partial<AlignmentPointEntry>) =>
  before === undefined || after === undefined ? undefined : before - after;
