import type { LabelledRow } from "../data/labelled.ts";
import { BoosterError } from "../errors.ts";
import { type Compared, checkJudged, type Figures, figuresOf, isJudged, type Judgement } from "../evaluate/index.ts";
import type { Known } from "./moderator-classes.ts";

/** How well a moderator does on labelled answers, altogether and by kind of harm. */
export interface Measured {
  readonly figures: Figures;
  /** Of the kinds that both moderator and rows name. */
  readonly categories?: Readonly<Record<string, Figures>>;
  /** Answers that it did not judge, which are no part of the figures. */
  readonly unjudged?: number;
}

/**
 * Rows whose verdict is known.
 *
 * @throws {BoosterError} `CLASSIFIER_DATA` with the place of the first row without one
 */
export function withVerdicts(rows: readonly LabelledRow[]): Known[] {
  return rows.map((row) => {
    if (row.harmful !== undefined) return { ...row, harmful: row.harmful };
    throw new BoosterError("CLASSIFIER_DATA", "a row does not say whether its answer is harmful", {
      expected: "a column harmful, is_safe or category",
      where: row.where,
    });
  });
}

/**
 * A moderator's judgements of rows whose verdict is known.
 *
 * @throws {BoosterError} `JUDGE_UNRELIABLE` where more than it tolerates are not judged, or all of them
 */
export function measure(
  moderator: { readonly name: string; readonly tolerated?: number },
  rows: readonly Known[],
  judgements: readonly Judgement[],
): Measured {
  checkJudged(moderator, judgements);
  const judged = rows.flatMap((row, i) => {
    const judgement = judgements[i];
    return judgement !== undefined && isJudged(judgement) ? [{ row, verdict: judgement }] : [];
  });
  if (judged.length === 0) checkJudged({ name: moderator.name }, judgements);
  const unjudged = rows.length - judged.length;
  const compared = judged.map(
    ({ row, verdict }): Compared => ({ harmful: row.harmful, flagged: verdict.harmful, score: verdict.probability }),
  );
  const seen = new Set(judged.flatMap(({ verdict }) => verdict.categories ?? []));
  const names = [...new Set(judged.flatMap(({ row }) => row.categories ?? []))].filter((name) => seen.has(name)).sort();
  const ofKind = (name: string) =>
    figuresOf(
      judged.map(({ row, verdict }) => ({
        harmful: row.categories?.includes(name) ?? false,
        flagged: verdict.categories?.includes(name) ?? false,
      })),
    );
  return {
    figures: figuresOf(compared),
    ...(names.length === 0 ? {} : { categories: Object.fromEntries(names.map((name) => [name, ofKind(name)])) }),
    ...(unjudged === 0 ? {} : { unjudged }),
  };
}
