import { RandomStream } from "../tensor/random.ts";
import { type Rate, rateOf } from "./rate.ts";
import { type Interval, quantile } from "./statistics.ts";

const RESAMPLES = 1000;

/** A figure between 0 and 1, or -1 and 1, with its 95 % interval: percentile bootstrap over the answers. */
export interface Estimate extends Interval {
  readonly value: number;
}

/** An answer of which it is known whether it is harmful, and what a moderator says. */
export interface Compared {
  readonly harmful: boolean;
  readonly flagged: boolean;
  /** How sure the moderator is that it is harmful. */
  readonly score?: number | undefined;
}

/** How well a moderator tells harmful answers from others. What has no value, such as a precision where nothing is flagged, is absent. */
export interface Figures {
  /** Share of right verdicts. */
  readonly accuracy: Rate;
  /** Share of the flagged answers that are harmful. */
  readonly precision?: Rate;
  /** Share of the harmful answers that are flagged. */
  readonly recall?: Rate;
  /** Share of the other answers that pass. */
  readonly specificity?: Rate;
  /** Harmonic mean of precision and recall. */
  readonly f1?: Estimate;
  /** Chance that a harmful answer scores above another one, ties counted by half. */
  readonly auc?: Estimate;
}

/** A figure of all items, and its interval from resampled ones; `counts` says how often each is there. */
function estimate(items: number, figure: (counts: Int32Array) => number | undefined): Estimate | undefined {
  const value = figure(new Int32Array(items).fill(1));
  if (value === undefined) return undefined;
  const random = new RandomStream(0, "figures");
  const found: number[] = [];
  for (let sample = 0; sample < RESAMPLES; sample++) {
    const counts = new Int32Array(items);
    for (let i = 0; i < items; i++) counts[random.integer(sample * items + i, items)]!++;
    const of = figure(counts);
    if (of !== undefined) found.push(of);
  }
  const sorted = Float64Array.from(found).sort();
  return { value, low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

/** Items that satisfy a condition, each as often as it is there. */
const counted = <T>(items: readonly T[], counts: Int32Array, holds: (item: T) => boolean): number =>
  items.reduce((sum, item, i) => sum + (holds(item) ? (counts[i] as number) : 0), 0);

const ratio = (part: number, whole: number): number | undefined => (whole === 0 ? undefined : part / whole);

function f1(answers: readonly Compared[], counts: Int32Array): number | undefined {
  const right = counted(answers, counts, ({ harmful, flagged }) => harmful && flagged);
  return ratio(2 * right, 2 * right + counted(answers, counts, ({ harmful, flagged }) => harmful !== flagged));
}

/** Area under the ROC curve; `answers` in the order of their scores. */
function auc(answers: readonly Compared[], counts: Int32Array): number | undefined {
  let [wins, below, tied, positives] = [0, 0, 0, 0];
  let last: number | undefined;
  // Within a tie each harmful answer beats half of the others.
  let tiedPositives = 0;
  const close = () => {
    wins += tiedPositives * (below + tied / 2);
    below += tied;
    [tied, tiedPositives] = [0, 0];
  };
  answers.forEach(({ score, harmful }, i) => {
    if (score !== last) close();
    last = score;
    const count = counts[i] as number;
    if (harmful) tiedPositives += count;
    else tied += count;
    positives += harmful ? count : 0;
  });
  close();
  return ratio(wins, positives * below);
}

const shareAmong = <T>(items: readonly T[], holds: (item: T) => boolean): Rate | undefined =>
  items.length === 0 ? undefined : rateOf(items, holds);

/** Leaves out what has no value. */
const present = <T extends object>(figures: { [Name in keyof T]: T[Name] | undefined }): T =>
  Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined)) as T;

/**
 * A moderator's verdicts against what is known, shares in per cent with Wilson's interval.
 *
 * Source: the definitions of scikit-learn's `accuracy_score`, `precision_score`, `recall_score`, `f1_score` and `roc_auc_score`.
 *
 * @throws {BoosterError} `STATISTICS_INPUT` without answers
 * @example
 * figuresOf([{ harmful: true, flagged: true, score: 0.9 }, { harmful: false, flagged: false, score: 0.2 }]).accuracy.percent; // 100
 */
export function figuresOf(answers: readonly Compared[]): Figures {
  const scored = answers.every(({ score }) => score !== undefined)
    ? answers.toSorted((a, b) => (a.score as number) - (b.score as number))
    : undefined;
  return present<Figures>({
    accuracy: rateOf(answers, ({ harmful, flagged }) => harmful === flagged),
    precision: shareAmong(
      answers.filter(({ flagged }) => flagged),
      ({ harmful }) => harmful,
    ),
    recall: shareAmong(
      answers.filter(({ harmful }) => harmful),
      ({ flagged }) => flagged,
    ),
    specificity: shareAmong(
      answers.filter(({ harmful }) => !harmful),
      ({ flagged }) => !flagged,
    ),
    f1: estimate(answers.length, (counts) => f1(answers, counts)),
    auc: scored && estimate(scored.length, (counts) => auc(scored, counts)),
  });
}

/** What two moderators say of the same answers. */
export interface Agreement {
  /** How many both flag, the first alone, the second alone, and neither. */
  readonly confusion: Readonly<Record<"both" | "first" | "second" | "neither", number>>;
  /** Share of answers of which they say the same. */
  readonly agreement: Rate;
  /** Cohen's kappa: 1 for the same verdicts, 0 for as much agreement as chance gives; absent where both say one thing of all. */
  readonly kappa?: Estimate;
}

/**
 * How far two moderators agree.
 *
 * kappa = (p - e) / (1 - e), p the share of equal verdicts, e that of two moderators who flag as often but at random. Source: Cohen,
 * "A coefficient of agreement for nominal scales", 1960.
 *
 * @throws {BoosterError} `STATISTICS_INPUT` without answers
 * @example
 * agreementOf([{ first: true, second: true }, { first: false, second: true }]).agreement.percent; // 50
 */
export function agreementOf(answers: readonly { readonly first: boolean; readonly second: boolean }[]): Agreement {
  const kappa = (counts: Int32Array) => {
    const all = counts.reduce((sum, count) => sum + count, 0);
    const share = (holds: (answer: (typeof answers)[number]) => boolean) => counted(answers, counts, holds) / all;
    const [a, b] = [share(({ first }) => first), share(({ second }) => second)];
    const chance = a * b + (1 - a) * (1 - b);
    return chance === 1 ? undefined : (share(({ first, second }) => first === second) - chance) / (1 - chance);
  };
  const count = (one: boolean, other: boolean) =>
    answers.filter(({ first, second }) => first === one && second === other).length;
  return present<Agreement>({
    confusion: {
      both: count(true, true),
      first: count(true, false),
      second: count(false, true),
      neither: count(false, false),
    },
    agreement: rateOf(answers, ({ first, second }) => first === second),
    kappa: estimate(answers.length, kappa),
  });
}
