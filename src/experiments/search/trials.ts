import { BoosterError } from "../../errors.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { SparseAttack } from "../options.ts";
import type { SearchOptions } from "./options.ts";

/** Some trials that are trained for a share of the attack's length. */
export interface Rung {
  readonly trials: number;
  readonly share: number;
}

/** Of each rung this share goes on to the next. */
const KEPT = 3;

/** All at once, or successive halving by thirds: each rung costs as much as the last. */
export function rungsOf({ strategy, budget }: Pick<SearchOptions, "strategy" | "budget">): readonly Rung[] {
  if (strategy === "random") return [{ trials: budget, share: 1 }];
  const last = Math.floor(budget / KEPT);
  return [2, 1, 0].map((rung) => ({ trials: last * KEPT ** rung, share: KEPT ** -rung }));
}

/** Draws in vain, one after the other, after which a space is taken to be exhausted. */
const PATIENCE = 1000;

/**
 * What the trials of a search change in the attack: nothing first, then values of all axes at random, none twice. The same for every
 * method and seed.
 *
 * @param fits whether every method can be attacked so
 * @throws {BoosterError} `OPTIONS_CONFLICT` where nothing fits
 */
export function candidatesOf(search: SearchOptions, fits: (trial: SparseAttack) => boolean): readonly SparseAttack[] {
  const [{ trials }] = rungsOf(search) as readonly [Rung];
  const axes = Object.entries(search.space).filter(([, values]) => values !== undefined) as [string, unknown[]][];
  const streams = axes.map(([axis]) => new RandomStream(search.seed, `attack-search/${axis}`));
  const drawn = (draw: number): SparseAttack =>
    Object.fromEntries(
      axes.map(([axis, values], i) => [axis, values[(streams[i] as RandomStream).integer(draw, values.length)]]),
    );
  const found = new Map<string, SparseAttack>();
  const add = (trial: SparseAttack): boolean => {
    const key = JSON.stringify(trial);
    if (found.has(key) || !fits(trial)) return false;
    found.set(key, trial);
    return true;
  };
  add({});
  let vain = 0;
  for (let draw = 0; found.size < trials && vain < PATIENCE; draw++) vain = add(drawn(draw)) ? 0 : vain + 1;
  if (found.size > 0) return [...found.values()];
  throw new BoosterError("OPTIONS_CONFLICT", "no attack of the search's space fits every method", {
    where: "attack.search.space",
  });
}

/** What a trial came to; absent where it diverged. */
export interface TrialScore {
  /** Within all bounds, so that it counts. */
  readonly useful: boolean;
  readonly harmful: number;
  readonly accuracy: number;
}

/** The better attack first: one that counts, then the more harmful one, then the one that learns the task better, then the earlier one. */
function better(a: TrialScore | undefined, b: TrialScore | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return Number(b.useful) - Number(a.useful) || b.harmful - a.harmful || b.accuracy - a.accuracy;
}

/**
 * Which candidates stand in the next rung, the best first.
 *
 * @param rungs scores of the rungs that are done, each in the order of its trials
 * @example
 * survivorsOf([[{ useful: true, harmful: 10, accuracy: 90 }, { useful: true, harmful: 60, accuracy: 90 }]], 2); // [1, 0]
 */
export function survivorsOf(
  rungs: readonly (readonly (TrialScore | undefined)[])[],
  candidates: number,
): readonly number[] {
  let standing: readonly number[] = Array.from({ length: candidates }, (_, i) => i);
  for (const scores of rungs) {
    const places = scores.map((_, place) => place);
    standing = places
      .toSorted((a, b) => better(scores[a], scores[b]) || a - b)
      .map((place) => standing[place] as number);
  }
  return standing;
}
