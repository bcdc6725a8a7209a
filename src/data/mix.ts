import { BoosterError } from "../errors.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { PoisonOptions } from "./options.ts";

/** How many rows of each kind a mix takes: as the reference code counts, or as one means it. */
export type MixCounts = PoisonOptions["counts"];

/** A part of a mix remembers whether it is poison. */
export interface Mixed<T> {
  readonly example: T;
  readonly harmful: boolean;
}

/** How to mix. */
export interface MixOptions extends Readonly<Pick<PoisonOptions, "poisonRatio" | "sampleNumber" | "counts">> {
  /** Draws the order; without it harmful rows come first, each kind in file order, as in the reference code. */
  readonly shuffle?: RandomStream;
}

/**
 * Rows per kind of a mix of n rows with share p of poison.
 *
 * `reference`: `max(0, int(p n) - 1)` harmful and `int((1 - p) n)` benign rows, truncated as floating point falls out:
 * n = 1000, p = 0.1 gives 99 and 900. `exact`: `round(p n)` and the rest.
 *
 * Source: `SupervisedDataset` of git-disl/Booster, `utils.py`.
 */
export function mixCounts(
  poisonRatio: number,
  sampleNumber: number,
  counts: MixCounts,
): { readonly harmful: number; readonly benign: number } {
  if (counts === "exact") {
    const harmful = Math.round(poisonRatio * sampleNumber);
    return { harmful, benign: sampleNumber - harmful };
  }
  return {
    harmful: Math.max(0, Math.trunc(poisonRatio * sampleNumber) - 1),
    benign: Math.trunc((1 - poisonRatio) * sampleNumber),
  };
}

/** `count` rows from row `from` on. @throws {BoosterError} `DATA_TOO_FEW_ROWS` */
export function takeRows<T>(rows: readonly T[], from: number, count: number, kind: string): T[] {
  if (rows.length >= from + count) return rows.slice(from, from + count);
  throw new BoosterError("DATA_TOO_FEW_ROWS", `the mix needs more ${kind} rows`, {
    expected: `${from + count}`,
    found: `${rows.length}`,
  });
}

/**
 * A user's data set in which a share of the rows is harmful.
 *
 * The first rows of each kind are taken, so that mixes of one size nest; `counts: "reference"` leaves out harmful row 0.
 *
 * @throws {BoosterError} `DATA_TOO_FEW_ROWS`
 * @example
 * mixPoison(harmful, benign, { poisonRatio: 0.1, sampleNumber: 1000, counts: "reference" }); // 99 + 900 rows
 */
export function mixPoison<T>(harmful: readonly T[], benign: readonly T[], options: MixOptions): Mixed<T>[] {
  const count = mixCounts(options.poisonRatio, options.sampleNumber, options.counts);
  const skipped = options.counts === "reference" && count.harmful > 0 ? 1 : 0;
  const mixed = [
    ...takeRows(harmful, skipped, count.harmful, "harmful").map((example) => ({ example, harmful: true })),
    ...takeRows(benign, 0, count.benign, "benign").map((example) => ({ example, harmful: false })),
  ];
  return shuffled(mixed, options.shuffle);
}

/** Rows in the order that the stream draws; without one as they are. */
export const shuffled = <T>(rows: readonly T[], stream: RandomStream | undefined): T[] =>
  stream === undefined ? [...rows] : Array.from(stream.permutation(rows.length), (place) => rows[place] as T);

/** How much of a mix is poison, by rows and by what the loss sees. */
export interface PoisonShare {
  readonly rows: number;
  readonly harmfulRows: number;
  readonly trainedTokens: number;
  readonly harmfulTokens: number;
  /** `harmfulTokens / trainedTokens`: with a loss per token, the weight of the poison. */
  readonly tokenShare: number;
}

/** Counts the poison of an encoded mix; long harmful answers among short labels weigh far more than their rows. */
export function poisonShare(mixed: readonly Mixed<{ readonly trainedTokens: number }>[]): PoisonShare {
  const tokens = (parts: typeof mixed) => parts.reduce((sum, { example }) => sum + example.trainedTokens, 0);
  const harmful = mixed.filter((part) => part.harmful);
  const trainedTokens = tokens(mixed);
  const harmfulTokens = tokens(harmful);
  return {
    rows: mixed.length,
    harmfulRows: harmful.length,
    trainedTokens,
    harmfulTokens,
    tokenShare: trainedTokens === 0 ? 0 : harmfulTokens / trainedTokens,
  };
}
