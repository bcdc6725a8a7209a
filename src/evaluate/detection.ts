import { BoosterError } from "../errors.ts";

/** How well a score tells positives from negatives, as fractions. */
export interface Detection {
  /** Chance that a positive scores above a negative, ties counted by half: the area under the ROC curve. */
  readonly auroc: number;
  /** Sum over thresholds of (recall gained) x precision: the area under the precision-recall curve. */
  readonly averagePrecision: number;
  /** Largest share of positives found at a false-positive rate within the bound. */
  readonly truePositiveRate: number;
  /** Highest threshold that finds them: a score of it or more is flagged. Infinite where none may be. */
  readonly threshold: number;
}

/**
 * AUROC, average precision, and the true-positive rate within a false-positive rate, without interpolation.
 *
 * Source: the definitions of scikit-learn's `roc_auc_score` and `average_precision_score`; the bound of 5 % as in BEAT, ICLR 2025.
 *
 * @param positives scores of what should be flagged
 * @param negatives scores of what should pass
 * @throws {BoosterError} `STATISTICS_INPUT` without scores of both kinds, or with one that is not a number
 * @example
 * detection([0.9, 0.6], [0.1, 0.7]).auroc; // 0.75
 */
export function detection(
  positives: readonly number[],
  negatives: readonly number[],
  maxFalsePositiveRate = 0.05,
): Detection {
  if (positives.length === 0 || negatives.length === 0 || [...positives, ...negatives].some(Number.isNaN)) {
    throw new BoosterError("STATISTICS_INPUT", "detection is measured on scores of both kinds", {
      found: `${positives.length} positives, ${negatives.length} negatives`,
    });
  }
  const above = (one: number, other: number) => (one > other ? 1 : one === other ? 0.5 : 0);
  const wins = positives.reduce(
    (sum, score) => sum + negatives.reduce((inner, other) => inner + above(score, other), 0),
    0,
  );
  const atLeast = (scores: readonly number[], threshold: number) => scores.filter((score) => score >= threshold).length;
  let averagePrecision = 0;
  let before = 0;
  let best = { threshold: Number.POSITIVE_INFINITY, found: 0 };
  for (const threshold of [...new Set([...positives, ...negatives])].sort((a, b) => b - a)) {
    const found = atLeast(positives, threshold);
    const wrong = atLeast(negatives, threshold);
    averagePrecision += ((found - before) / positives.length) * (found / (found + wrong));
    before = found;
    if (wrong / negatives.length <= maxFalsePositiveRate && found > best.found) best = { threshold, found };
  }
  return {
    auroc: wins / (positives.length * negatives.length),
    averagePrecision,
    truePositiveRate: best.found / positives.length,
    threshold: best.threshold,
  };
}
