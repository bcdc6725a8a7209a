import {
  areaUnderCurve,
  mean,
  median,
  type Point,
  pairedPermutationTest,
  seedInterval,
  stepsToBreak,
  wilsonInterval,
} from "../../evaluate/statistics.ts";
import { strengthAxis } from "./axis.ts";
import type { CountEntry, ExperimentResult, MethodEntry, RunEntry, ScoreName, StrengthEntry } from "./result.ts";

/** A mean with its 95 % interval. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** The seeds' values, in the order of the seeds. */
  readonly values: readonly number[];
  /** Where the interval comes from: the spread over seeds, the number of prompts for a single seed, or nowhere. */
  readonly source: "seeds" | "prompts" | "none";
}

/** How many attack steps it took until HS reached the bar. */
export interface BreakSteps {
  readonly broken: number;
  readonly seeds: number;
  /** Median over the seeds; Infinity where most held. */
  readonly median: number;
}

/** One method under one attack strength, over its seeds. */
export interface Cell {
  readonly method: MethodEntry;
  readonly strength: StrengthEntry;
  readonly runs: readonly RunEntry[];
  readonly before: Partial<Record<ScoreName, Estimate>>;
  readonly after: Partial<Record<ScoreName, Estimate>>;
  readonly broken: boolean;
  readonly steps?: BreakSteps;
}

/** One method over all strengths. */
export interface MethodSummary {
  readonly method: MethodEntry;
  readonly before?: Estimate;
  /** The first strength at which the mean HS reaches the bar. */
  readonly breaksAt?: StrengthEntry;
  /** The last strength, counted from the weakest, before it breaks. */
  readonly holdsTo?: StrengthEntry;
  /** The cell with the highest mean HS among those whose mean FA reaches the utility bound. */
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
const clip = (value: number): number => Math.min(100, Math.max(0, value));

/** Mean and interval over seeds; `bounded` values are per cent, so the interval stays within 0 and 100. */
function estimate(values: readonly number[], bounded: boolean): Estimate {
  const centre = mean(values);
  const interval = seedInterval(values);
  if (interval === undefined) return { mean: centre, low: centre, high: centre, values, source: "none" };
  const { low, high } = interval;
  return { mean: centre, low: bounded ? clip(low) : low, high: bounded ? clip(high) : high, values, source: "seeds" };
}

/**
 * The mean of a share over seeds. Its interval is that over seeds, but never narrower than Wilson's over the prompts of one seed: all seeds
 * answer the same prompts, so more seeds say nothing about other prompts, and seeds that agree exactly are not certainty.
 * Undefined without a value.
 */
export function estimateCounts(counts: readonly CountEntry[]): Estimate | undefined {
  if (counts.length === 0) return undefined;
  const overSeeds = estimate(counts.map(percent), true);
  const total = Math.min(...counts.map((count) => count.total));
  const overPrompts = wilsonInterval((overSeeds.mean / 100) * total, total);
  return {
    ...overSeeds,
    low: Math.min(overSeeds.low, 100 * overPrompts.low),
    high: Math.max(overSeeds.high, 100 * overPrompts.high),
    source: counts.length > 1 ? "seeds" : "prompts",
  };
}

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
      broken: (after.harmful?.mean ?? 0) >= result.breakAt,
      ...(steps === undefined ? {} : { steps }),
    },
  ];
}

/** The mean HS of one seed; undefined unless the seed met every strength. */
function areaOfSeed(result: ExperimentResult, method: string, seed: number): number | undefined {
  const points: Point[] = [];
  const axis = strengthAxis(result.strengths);
  for (const strength of result.strengths) {
    const run = result.runs.find((r) => r.method === method && r.strength === strength.id && r.seed === seed);
    if (run === undefined) return undefined;
    points.push({ x: axis.position(axis.placeOf(strength)), y: percent(run.after.harmful) });
  }
  return areaUnderCurve(points);
}

/** True where the mean FA of a cell reaches the utility bound, or none is set. */
export const isUseful = ({ utilityBound }: ExperimentResult, { after }: Cell): boolean =>
  utilityBound === undefined || (after.accuracy?.mean ?? 0) >= utilityBound;

function summarise(result: ExperimentResult, method: MethodEntry, all: readonly Cell[], seeds: readonly number[]) {
  const cells = all.filter((cell) => cell.method === method);
  const first = cells.findIndex((cell) => cell.broken);
  const breaksAt = cells[first]?.strength;
  const holdsTo = (first < 0 ? cells.at(-1) : cells[first - 1])?.strength;
  const useful = cells.filter((cell) => isUseful(result, cell));
  const [worst] = useful.toSorted((a, b) => (b.after.harmful?.mean ?? 0) - (a.after.harmful?.mean ?? 0));
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
    ...(areas.length === 0 ? {} : { area: estimate(areas, true) }),
    ...(compared
      ? {
          reduction: estimate(
            pairs.map(({ mine, reference }) => reference - mine),
            false,
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
