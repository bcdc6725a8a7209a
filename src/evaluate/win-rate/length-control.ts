import { mean } from "../statistics.ts";

/** An answer against a reference: how often it wins, 0 to 1, and how long both are. */
export interface Compared {
  readonly preference: number;
  readonly length: number;
  readonly referenceLength: number;
}

/** A row of the regression: its features, and the share of wins that is to be told. */
interface Observed {
  readonly features: readonly number[];
  readonly share: number;
}

/** What scikit-learn's LogisticRegressionCV tries: ten strengths from 1e-4 to 1e4, five folds. */
const STRENGTHS = Array.from({ length: 10 }, (_, i) => 10 ** (-4 + (8 * i) / 9));
const FOLDS = 5;
/** Beyond this a share is 0 or 1 in float64 as well. */
const FARTHEST = 40;
const HALVINGS = 60;
const CYCLES = 200;
const CLOSE = 1e-8;

const logistic = (x: number): number => 1 / (1 + Math.exp(-x));
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

/**
 * Weights of a logistic regression with an L1 penalty, for shares instead of labels: the least |w| + strength * log loss.
 * The loss is convex, so each weight in turn goes to its own least, found by halving, until none moves.
 */
export function fitShares(rows: readonly Observed[], strength: number): number[] {
  const weights = (rows[0]?.features ?? []).map(() => 0);
  for (let cycle = 0, moved = 1; cycle < CYCLES && moved > CLOSE; cycle++) {
    moved = 0;
    for (const [i, before] of weights.entries()) {
      const rest = rows.map(({ features }) => dot(features, weights) - before * (features[i] ?? 0));
      const slope = (weight: number): number =>
        strength *
        rows.reduce((sum, { features, share }, row) => {
          const x = features[i] ?? 0;
          return sum + x * (logistic((rest[row] ?? 0) + weight * x) - share);
        }, 0);
      const after = leastOf(slope);
      weights[i] = after;
      moved = Math.max(moved, Math.abs(after - before));
    }
  }
  return weights;
}

/** Where |w| plus a convex loss of this slope is least. */
function leastOf(slope: (weight: number) => number): number {
  const atZero = slope(0);
  if (Math.abs(atZero) <= 1) return 0;
  const sign = atZero > 0 ? -1 : 1;
  let [near, far] = [0, sign * FARTHEST];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (near + far) / 2;
    if (sign * (slope(middle) + sign) < 0) near = middle;
    else far = middle;
  }
  return (near + far) / 2;
}

function logLoss(rows: readonly Observed[], weights: readonly number[]): number {
  return mean(
    rows.map(({ features, share }) => {
      const told = Math.min(1 - 1e-15, Math.max(1e-15, logistic(dot(features, weights))));
      return -(share * Math.log(told) + (1 - share) * Math.log(1 - told));
    }),
  );
}

/** Sample standard deviation. */
function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/**
 * The share of wins that would be if answers were as long as the references: a logistic regression of the preference on the hyperbolic
 * tangent of the standardised difference in length, read off at no difference.
 *
 * Source: AlpacaEval's `length_controlled_minimal` (Dubois et al., arXiv 2404.04475; `metrics/glm_winrate.py`). Its `length_controlled_v1`
 * also knows how hard each of its 805 instructions is and how its own judge liked two gamed models, which are no part of this. Row i is in fold
 * i mod 5; which rows share a fold is not fixed there.
 *
 * @returns undefined for fewer than five answers
 * @example
 * lengthControlled([{ preference: 1, length: 900, referenceLength: 400 }, ...]); // 0.42
 */
export function lengthControlled(compared: readonly Compared[]): number | undefined {
  if (compared.length < FOLDS) return undefined;
  const deltas = compared.map(({ length, referenceLength }) => length - referenceLength);
  const spread = deviation(deltas);
  const rows = compared.map(({ preference: share }, i) => ({
    features: [spread === 0 ? 0 : Math.tanh((deltas[i] ?? 0) / spread), 1],
    share,
  }));
  const lossOf = (strength: number): number =>
    mean(
      Array.from({ length: FOLDS }, (_, fold) => {
        const weights = fitShares(
          rows.filter((_, i) => i % FOLDS !== fold),
          strength,
        );
        return logLoss(
          rows.filter((_, i) => i % FOLDS === fold),
          weights,
        );
      }),
    );
  const losses = STRENGTHS.map(lossOf);
  const best = STRENGTHS[losses.indexOf(Math.min(...losses))] as number;
  const [, intercept = 0] = fitShares(rows, best);
  return logistic(intercept);
}
