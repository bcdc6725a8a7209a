import { crossedInterval, type Tally } from "../evaluate/crossed.ts";
import { mean } from "../evaluate/statistics.ts";
import { type ExperimentResult, type RunEntry, type ScoreEntry, type ScoreName, setOf } from "./result.ts";

/** A mean with its 95 % interval. */
export interface Estimate {
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** The seeds' values, in the order of the seeds. */
  readonly values: readonly number[];
  /** What varies besides the questions: base models, seeds of one base model, or nothing where there is one seed. */
  readonly source: "bases" | "seeds" | "prompts";
  /** Folders of the evaluations that the values come from, where these are known. */
  readonly folders?: readonly (string | undefined)[];
}

/** What each question came to in one seed, in per cent; NaN where it is not known. */
export interface Sample {
  readonly base: string;
  readonly questions: readonly number[];
  /** Which questions belong together; absent: each stands for itself. */
  readonly clusters: readonly number[] | undefined;
}

/** A share in per cent. */
export const percent = ({ count, total }: { readonly count: number; readonly total: number }): number =>
  (100 * count) / total;

/**
 * Results of earlier programs do not say which questions count. Then all of the first clusters do (for the other side of a difference
 * of the last), the same in all seeds: that is how the choice of questions matters most.
 */
function laidOut({ count, total }: ScoreEntry, clusters: readonly number[], fromEnd: boolean): number[] {
  const order = Array.from({ length: total }, (_, i) => i).sort((a, b) => (clusters[a] ?? a) - (clusters[b] ?? b));
  if (fromEnd) order.reverse();
  const questions = new Array<number>(total);
  for (const [place, i] of order.entries()) questions[i] = 100 * Math.min(1, Math.max(0, count - place));
  return questions;
}

/** A score of a run, question by question; undefined where it was not measured. */
export function sampleOf(
  result: ExperimentResult,
  run: RunEntry,
  { moment, name, fromEnd = false }: { moment: "before" | "after"; name: ScoreName; fromEnd?: boolean },
): Sample | undefined {
  const score = run[moment][name];
  if (score === undefined) return undefined;
  const { outcomes } = score;
  const told = result.questions[setOf(name)]?.clusters;
  const clusters = told?.length === (outcomes?.length ?? score.total) ? told : undefined;
  const questions =
    outcomes === undefined
      ? laidOut(score, clusters ?? [], fromEnd)
      : Array.from(outcomes, (sign) => (sign === "-" ? Number.NaN : sign === "1" ? 100 : 0));
  return { base: run.base ?? "", questions, clusters };
}

/** A weighted sum of samples of one seed, question by question. */
export function combined(parts: readonly { readonly sample: Sample; readonly weight: number }[]): Sample | undefined {
  const [first] = parts;
  if (first === undefined) return undefined;
  const length = Math.min(...parts.map(({ sample }) => sample.questions.length));
  const questions = Array.from({ length }, (_, i) =>
    parts.reduce((sum, { sample, weight }) => sum + weight * (sample.questions[i] as number), 0),
  );
  return { ...first.sample, questions };
}

const isKnown = (value: number): boolean => !Number.isNaN(value);

/** Sums over the questions of each cluster. */
function tallies(questions: readonly number[], clusters: readonly number[] | undefined, length: number): Tally[] {
  const found: { sum: number; size: number }[] = [];
  for (let i = 0; i < length; i++) {
    const at = clusters?.[i] ?? i;
    found[at] ??= { sum: 0, size: 0 };
    const value = questions[i] as number;
    if (!isKnown(value)) continue;
    found[at].sum += value;
    found[at].size += 1;
  }
  return found.filter((tally) => tally !== undefined);
}

const added = (one: readonly Tally[], other: readonly Tally[]): Tally[] =>
  one.map(({ sum, size }, k) => ({ sum: sum + (other[k]?.sum ?? 0), size: size + (other[k]?.size ?? 0) }));

/**
 * Mean over seeds of what lies between `least` and 100, with the interval of `crossedInterval` over question clusters and base models,
 * or seeds where there is one base model. Undefined without a sample.
 */
export function estimate(samples: readonly Sample[], least = 0): Estimate | undefined {
  if (samples.length === 0) return undefined;
  const values = samples.map(({ questions }) => mean(questions.filter(isKnown)));
  const length = Math.min(...samples.map(({ questions }) => questions.length));
  const clusters = samples.every((sample) => sample.clusters !== undefined) ? samples[0]?.clusters : undefined;
  const rows = samples.map(({ questions }) => tallies(questions, clusters, length));
  const bases = new Map<string, Tally[]>();
  for (const [i, { base }] of samples.entries()) {
    const row = rows[i] as Tally[];
    const before = bases.get(base);
    bases.set(base, before === undefined ? row : added(before, row));
  }
  const several = bases.size > 1;
  const { low, high } = crossedInterval(several ? [...bases.values()] : rows, { least, most: 100 });
  const source = several ? "bases" : samples.length > 1 ? "seeds" : "prompts";
  return { mean: mean(values), low, high, values, source };
}
