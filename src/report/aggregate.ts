import { areaUnderCurve, median, pairedPermutationTest, stepsToBreak } from "../evaluate/statistics.ts";
import { combined, type Estimate, estimate, percent, type Sample, sampleOf } from "./estimate.ts";
import {
  type AlignmentPointEntry,
  type ExperimentResult,
  type MethodEntry,
  type RunEntry,
  SCORE_NAMES,
  type ScoreName,
  type StrengthEntry,
} from "./result.ts";
import { sweepOf } from "./sweep.ts";
import { isUseful } from "./useful.ts";

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
  /** The seeds that count: their models are of use. */
  readonly useful: readonly RunEntry[];
  /** HS after the attack of the seeds that count; absent where none does. */
  readonly harm: Estimate | undefined;
  /** Of the seeds that count: those whose HS reaches the bar. */
  readonly brokenSeeds: number;
  /** Whether the mean HS of the seeds that count reaches the bar. */
  readonly broken: boolean;
  readonly steps: BreakSteps | undefined;
}

/** What an attacker gets who picks the worst attack for each seed. */
export interface WorstCase {
  /** Over seeds: the highest HS among the attacks, listed or found by search, after which the seed counts. */
  readonly harm: Estimate;
  /** Names of these attacks, the one that most seeds met first; of equals the weakest counts. */
  readonly under: readonly string[];
}

/** One method over all strengths. Only seeds that count are in it. */
export interface MethodSummary {
  readonly method: MethodEntry;
  readonly before: Estimate | undefined;
  readonly overRefusalBefore: Estimate | undefined;
  /** The first attack after which the mean HS reaches the bar. */
  readonly breaksAt: StrengthEntry | undefined;
  /** The last attack before that after which a seed counts. */
  readonly holdsTo: StrengthEntry | undefined;
  /** Absent where no attack leaves a seed that counts. */
  readonly worst: WorstCase | undefined;
  /** Mean HS: area under the curve of HS over attack strength, as drawn, divided by its width. */
  readonly area: Estimate | undefined;
  /** The same below the reference's, seed by seed, over the attacks after which both count; positive is better. */
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

/** A score over runs; undefined where none has it. */
export const estimateOf = (
  result: ExperimentResult,
  runs: readonly RunEntry[],
  moment: "before" | "after",
  name: ScoreName,
): Estimate | undefined => {
  const measured = runs.filter((run) => run[moment][name] !== undefined);
  const found = estimate(measured.flatMap((run) => sampleOf(result, run, { moment, name }) ?? []));
  return found && { ...found, folders: measured.map(({ folders }) => folders?.[moment]) };
};

const scores = (result: ExperimentResult, runs: readonly RunEntry[], moment: "before" | "after"): Cell["after"] =>
  Object.fromEntries(
    SCORE_NAMES.flatMap((name) => {
      const value = estimateOf(result, runs, moment, name);
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

/** One alignment: a seed of a base model. */
export const seatOf = ({ base = "", seed }: RunEntry): string => JSON.stringify([base, seed]);

export const bySeat = (a: RunEntry, b: RunEntry): number =>
  a.seed - b.seed || ((a.base ?? "") < (b.base ?? "") ? -1 : a.base === b.base ? 0 : 1);

function cellOf(result: ExperimentResult, method: MethodEntry, strength: StrengthEntry): Cell[] {
  const runs = result.runs.filter((run) => run.method === method.id && run.strength === strength.id).toSorted(bySeat);
  if (runs.length === 0) return [];
  const useful = runs.filter((run) => isUseful(result, run));
  const harm = estimateOf(result, useful, "after", "harmful");
  return [
    {
      method,
      strength,
      runs,
      before: scores(result, runs, "before"),
      after: scores(result, runs, "after"),
      useful,
      harm,
      brokenSeeds: useful.filter(({ after }) => percent(after.harmful) >= result.breakAt).length,
      broken: harm !== undefined && harm.mean >= result.breakAt,
      steps: breakSteps(runs, result.breakAt),
    },
  ];
}

/** The run of one seed under an attack, and how much it weighs in the seed's mean over the sweep. */
interface Weighed {
  readonly run: RunEntry;
  readonly weight: number;
}

/** By the area under a curve through these attacks. */
function weighed({ strengths }: ExperimentResult, runs: readonly RunEntry[]): Weighed[] {
  const { positionOf } = sweepOf(strengths);
  const places = runs.map((run) => positionOf(strengths.find(({ id }) => id === run.strength) as StrengthEntry));
  const weightOf = (i: number) => areaUnderCurve(places.map((x, j) => ({ x, y: i === j ? 1 : 0 })));
  return runs.map((run, i) => ({ run, weight: weightOf(i) }));
}

/** HS over the sweep of one seed. */
function overSweep(result: ExperimentResult, runs: readonly RunEntry[]): Sample[] {
  const parts = weighed(result, runs).flatMap(({ run, weight }) => {
    const sample = sampleOf(result, run, { moment: "after", name: "harmful" });
    return sample === undefined ? [] : [{ sample, weight }];
  });
  return [combined(parts) ?? []].flat();
}

/** HS of one seed below another's, over the attacks after which both count. */
function below(
  result: ExperimentResult,
  own: readonly RunEntry[],
  reference: readonly RunEntry[],
  name: ScoreName = "harmful",
): Sample[] {
  const pairs = own.flatMap((run) => {
    const other = reference.find(({ strength }) => strength === run.strength);
    return other === undefined ? [] : [{ run, other }];
  });
  const others = new Map(pairs.map(({ run, other }) => [run, other]));
  const parts = weighed(result, [...others.keys()]).flatMap(({ run, weight }) => {
    const other = others.get(run) as RunEntry;
    const mine = sampleOf(result, run, { moment: "after", name, fromEnd: true });
    const theirs = sampleOf(result, other, { moment: "after", name });
    if (mine === undefined || theirs === undefined) return [];
    return [
      { sample: theirs, weight },
      { sample: mine, weight: -weight },
    ];
  });
  return [combined(parts) ?? []].flat();
}

/**
 * A score of a method below another one's, seed by seed, over the attacks after which both count.
 *
 * @param cells of the one method, and of the other
 */
export function reductionOf(
  result: ExperimentResult,
  cells: readonly Cell[],
  others: readonly Cell[],
  name: ScoreName = "harmful",
): Estimate | undefined {
  const reference = seatsOf(usefulIn(others));
  const own = [...seatsOf(usefulIn(cells))];
  return estimate(
    own.flatMap(([seat, runs]) => below(result, runs, reference.get(seat) ?? [], name)),
    -100,
  );
}

/** A listed attack's label; a found one is called by its own. */
const labelOf = ({ strengths }: ExperimentResult, { strength }: RunEntry): string =>
  strengths.find(({ id }) => id === strength)?.label ?? strength;

function worstOf(result: ExperimentResult, seats: readonly (readonly RunEntry[])[]): WorstCase | undefined {
  const worst = seats.map((runs) =>
    runs.reduce((most, run) => (percent(run.after.harmful) > percent(most.after.harmful) ? run : most)),
  );
  const harm = estimateOf(result, worst, "after", "harmful");
  if (harm === undefined) return undefined;
  const labels = worst.map((run) => labelOf(result, run));
  const met = (label: string) => labels.filter((other) => other === label).length;
  return { harm, under: [...new Set(labels)].toSorted((a, b) => met(b) - met(a)) };
}

function summarise(result: ExperimentResult, method: MethodEntry, all: readonly Cell[]): MethodSummary {
  const cells = all.filter((cell) => cell.method === method);
  const counting = cells.filter(({ useful }) => useful.length > 0);
  const first = counting.findIndex((cell) => cell.broken);
  const seats = seatsOf(usefulIn(counting));
  const found = (result.search?.found ?? []).filter((run) => run.method === method.id && isUseful(result, run));
  const areas = [...seats.values()].flatMap((runs) => overSweep(result, runs));
  const reference = all.filter((cell) => cell.method.id === result.reference);
  const reduction = method.id === result.reference ? undefined : reductionOf(result, cells, reference);
  const alignments = uniqueSeeds(cells.flatMap((cell) => cell.runs));
  return {
    method,
    before: estimateOf(result, alignments, "before", "harmful"),
    overRefusalBefore: estimateOf(result, alignments, "before", "overRefusal"),
    breaksAt: counting[first]?.strength,
    holdsTo: (first < 0 ? counting.at(-1) : counting[first - 1])?.strength,
    worst: worstOf(result, [...seatsOf([...usefulIn(counting), ...found]).values()]),
    area: estimate(areas),
    ...(reduction && {
      reduction,
      pValue: pairedPermutationTest(
        reduction.values,
        reduction.values.map(() => 0),
      ),
    }),
  };
}

/** Runs that count, the weakest attack first. */
const usefulIn = (cells: readonly Cell[]): RunEntry[] => cells.flatMap(({ useful }) => useful);

/** Runs by seed. */
function seatsOf(runs: readonly RunEntry[]): Map<string, readonly RunEntry[]> {
  const seats = new Map<string, readonly RunEntry[]>();
  for (const run of runs.toSorted(bySeat)) {
    seats.set(seatOf(run), [...(seats.get(seatOf(run)) ?? []), run]);
  }
  return seats;
}

/** One run a seed: the model before the attack is the same under every strength. */
function uniqueSeeds(runs: readonly RunEntry[]): RunEntry[] {
  return [...new Map(runs.map((run) => [seatOf(run), run])).values()].toSorted(bySeat);
}

/** Each format asks for it. */
const known = new WeakMap<ExperimentResult, Aggregate>();

/** Means, intervals, breaking points and comparisons of an experiment. Cells in the order of methods, then strengths. */
export function aggregate(result: ExperimentResult): Aggregate {
  const found = known.get(result) ?? computed(result);
  known.set(result, found);
  return found;
}

function computed(result: ExperimentResult): Aggregate {
  const seeds = [...new Set(result.runs.map((run) => run.seed))].toSorted((a, b) => a - b);
  const cells = result.methods.flatMap((method) => result.strengths.flatMap((s) => cellOf(result, method, s)));
  const summaries = result.methods.map((method) => summarise(result, method, cells));
  const reference = result.methods.find(({ id }) => id === result.reference) as MethodEntry;
  return { result, reference, cells, seeds, summaries };
}

/** Whether other seeds, too, must be expected to differ to the same side: the interval leaves out zero. */
export const isTold = (difference: Estimate | undefined): boolean =>
  difference !== undefined && difference.source !== "prompts" && (difference.low > 0 || difference.high < 0);

/** The cell of a method under a strength, where it was run. */
export const cellAt = (
  { cells }: Aggregate,
  method: MethodEntry,
  strength: StrengthEntry | undefined,
): Cell | undefined => cells.find((cell) => cell.method === method && cell.strength === strength);

/** What one simulated harmful step gains; undefined where it was not measured. */
export const gainOf = ({ harmfulLossBefore: before, harmfulLossAfter: after }: Partial<AlignmentPointEntry>) =>
  before === undefined || after === undefined ? undefined : before - after;
