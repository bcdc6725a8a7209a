import { checkJudged } from "../moderators/moderator.ts";
import { mean } from "../statistics.ts";
import { lengthControlled } from "./length-control.ts";

/** A comparison, or none where the judge gave no verdict. */
export interface Outcome {
  readonly preference: number | undefined;
  readonly length: number;
  readonly referenceLength: number;
}

/** AlpacaEval's metric, in per cent. */
export interface WinRate {
  readonly winRate: number;
  /** Of the mean. */
  readonly standardError: number;
  /** What it would be at equal length; absent for fewer than five comparisons. */
  readonly lengthControlled?: number;
  readonly compared: number;
  readonly unjudged: number;
}

/**
 * The win rate of comparisons; a tie counts a half.
 *
 * @throws {BoosterError} `JUDGE_UNRELIABLE` where more than `tolerated` have no verdict
 */
export function winRate(outcomes: readonly Outcome[], tolerated: number): WinRate {
  const unjudged = outcomes.filter(({ preference }) => preference === undefined);
  checkJudged(
    { name: "judge", tolerated: Math.min(tolerated, outcomes.length - 1) },
    unjudged.map(() => ({ unjudged: "no verdict" })),
  );
  const compared = outcomes.flatMap(({ preference, ...lengths }) =>
    preference === undefined ? [] : [{ preference, ...lengths }],
  );
  const shares = compared.map(({ preference }) => preference);
  const centre = mean(shares);
  const squares = shares.reduce((sum, share) => sum + (share - centre) ** 2, 0);
  const equal = lengthControlled(compared);
  return {
    winRate: 100 * centre,
    standardError: shares.length < 2 ? 0 : 100 * Math.sqrt(squares / (shares.length - 1) / shares.length),
    ...(equal === undefined ? {} : { lengthControlled: 100 * equal }),
    compared: compared.length,
    unjudged: unjudged.length,
  };
}
