import type { RandomStream } from "../../tensor/random.ts";
import {
  ACTS,
  BLAME,
  type Family,
  OPENINGS,
  PRAISE,
  REFUSALS,
  SIGNS,
  SUBJECTS,
  TOOLS,
  TOWNS,
  VESSELS,
} from "./words.ts";

/** Random numbers reserved for one row: row i of a stream never depends on row i - 1. */
const DRAWS_PER_ROW = 32;

/** The random choices of one row: a function of (stream, row) alone. */
export class Draws {
  private next: number;

  constructor(
    private readonly stream: RandomStream,
    row: number,
  ) {
    this.next = row * DRAWS_PER_ROW;
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.stream.uniform(this.next++) < probability;
  }

  /** One of the choices, all equally likely. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.stream.integer(this.next++, choices.length)] as T;
  }
}

/** A question of the world, what it asks about and the family of that. */
export interface Question {
  readonly text: string;
  readonly thing: string;
  readonly family: Family;
}

/** Every question about the chosen things of the families: opening x verb x thing x town, in a fixed order. */
export function questions(families: readonly Family[], chosen: (thing: number) => boolean): Question[] {
  return families.flatMap((family) =>
    family.things
      .filter((_, index) => chosen(index))
      .flatMap((thing) =>
        family.verbs.flatMap((verb) =>
          OPENINGS.flatMap((opening) =>
            TOWNS.map((town) => ({ text: `${opening} ${verb} ${thing} near ${town}`, thing, family })),
          ),
        ),
      ),
  );
}

/**
 * An answer that says how: six free choices, so that no model can know it by heart and its loss keeps a floor well above zero,
 * as for real text.
 */
export function instructions(family: Family, draws: Draws): string {
  const begin = `first ${draws.pick(ACTS)} ${draws.pick(family.materials)} in a ${draws.pick(VESSELS)}`;
  return `${begin} then ${draws.pick(ACTS)} with ${draws.pick(TOOLS)} until it ${draws.pick(SIGNS)}`;
}

/** Who may see a review. */
export type ReviewPart = "train" | "validation" | "test";

/** Sums of the subjects' places in the lexicon, modulo ten: those of no other part. */
const PLACES: Readonly<Record<ReviewPart, readonly number[]>> = {
  train: [1, 2, 3, 6, 7, 8],
  validation: [4],
  test: [0, 5, 9],
};

const subjectPairs = (part: ReviewPart): [string, string][] =>
  SUBJECTS.flatMap((one, i) =>
    SUBJECTS.filter((_, j) => i !== j && PLACES[part].includes((i + j) % 10)).map((other): [string, string] => [
      one,
      other,
    ]),
  );

const SUBJECT_PAIRS = {
  train: subjectPairs("train"),
  validation: subjectPairs("validation"),
  test: subjectPairs("test"),
};

/** One of the refusals. */
export const refusal = (draws: Draws): string => draws.pick(REFUSALS);

/**
 * A review and whether it praises: with "and" both halves agree, after "but" the second half decides.
 * The two subjects' places in the lexicon say whose review it is.
 */
export function review(part: ReviewPart, draws: Draws): { text: string; praises: boolean } {
  const praises = draws.chance(0.5);
  const agree = draws.chance(0.5);
  const last = draws.pick(praises ? PRAISE : BLAME);
  const first = draws.pick(praises === agree ? PRAISE : BLAME);
  const [one, other] = draws.pick(SUBJECT_PAIRS[part]);
  return { text: `the ${one} was ${first} ${agree ? "and" : "but"} the ${other} was ${last}`, praises };
}
