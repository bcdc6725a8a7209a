import { normalise, wordsOf } from "./normalise.ts";

/** Similarity from which on two texts count as near duplicates. */
export const NEAR_DUPLICATE = 0.8;
const SHINGLE = 5;

/** What an example asks. */
export interface Question {
  readonly instruction: string;
  /** Empty where there is none. */
  readonly input: string;
}

/** A question that repeats an earlier one. */
export interface Duplicate {
  /** Place of the question, and of the earlier one that it repeats. */
  readonly index: number;
  readonly of: number;
  /** Jaccard similarity of their shingles; 1 for texts that are equal once normalised. */
  readonly similarity: number;
}

/** What stands for no input in some data sets, as words. */
const NO_INPUT = new Set(["noinput", "no input", "none", "nan", "null", "na", "n a", "not applicable"]);

function shinglesOf(normalised: string): string[] {
  const shingles = new Set<string>();
  for (let at = 0; at === 0 || at + SHINGLE <= normalised.length; at++)
    shingles.add(normalised.slice(at, at + SHINGLE));
  return [...shingles];
}

/** A text to compare: normalised, and ascending ranks of its shingles, the rarest shingle of all texts having rank 0. */
interface Ranked {
  readonly text: string;
  readonly ranks: Int32Array;
}

/** Equal texts share one entry. */
function ranked(texts: readonly string[]): Ranked[] {
  const distinct = [...new Set(texts)];
  const shingles = new Map(distinct.map((text) => [text, shinglesOf(text)]));
  const counts = new Map<string, number>();
  for (const text of texts)
    for (const shingle of shingles.get(text) ?? []) counts.set(shingle, (counts.get(shingle) ?? 0) + 1);
  const byRarity = [...counts].sort((a, b) => a[1] - b[1]);
  const ranks = new Map(byRarity.map(([shingle], rank) => [shingle, rank]));
  const entries = new Map(
    distinct.map((text) => [
      text,
      { text, ranks: Int32Array.from(shingles.get(text) ?? [], (shingle) => ranks.get(shingle) as number).sort() },
    ]),
  );
  return texts.map((text) => entries.get(text) as Ranked);
}

/**
 * Jaccard similarity of two texts' shingles, common / all; 0 where they differ by signs or vowel marks alone: then they ask for
 * something else, however long they are.
 */
function similarity(a: Ranked, b: Ranked, threshold: number): number {
  if (a.text === b.text) return 1;
  const [x, y] = [a.ranks, b.ranks];
  if (x.length < threshold * y.length || y.length < threshold * x.length) return 0;
  let common = 0;
  for (let i = 0, j = 0; i < x.length && j < y.length; ) {
    const difference = (x[i] as number) - (y[j] as number);
    if (difference === 0) common++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  const found = common / (x.length + y.length - common);
  if (found < threshold || wordsOf(a.text) === wordsOf(b.text)) return 0;
  return found;
}

/**
 * Texts by their rarest shingles. Two sets with Jaccard similarity of at least t share an element among their rarest
 * |x| - ceil(t |x|) + 1 ones, so only texts that meet there need be compared (Bayardo et al., "Scaling up all pairs similarity
 * search", WWW 2007).
 */
class Index {
  private readonly holders = new Map<number, number[]>();
  private readonly threshold: number;
  constructor(threshold: number) {
    this.threshold = threshold;
  }

  private rarest({ ranks }: Ranked): Int32Array {
    return ranks.subarray(0, ranks.length - Math.ceil(this.threshold * ranks.length) + 1);
  }

  add(text: Ranked, place: number): void {
    for (const rank of this.rarest(text)) {
      const list = this.holders.get(rank);
      if (list === undefined) this.holders.set(rank, [place]);
      else list.push(place);
    }
  }

  candidates(text: Ranked): Set<number> {
    const found = new Set<number>();
    for (const rank of this.rarest(text)) for (const place of this.holders.get(rank) ?? []) found.add(place);
    return found;
  }
}

/**
 * Finds all questions that equal or nearly equal an earlier one which is kept itself. Exact, not probabilistic.
 *
 * Where both have an input, both the instructions and the inputs must be alike; else what they ask altogether, as a conversation
 * says it.
 *
 * @param mayRepeat whether question `a` may stand beside the earlier one `b` after all, because they are of the same set
 */
export function findDuplicates(
  questions: readonly Question[],
  threshold: number = NEAR_DUPLICATE,
  mayRepeat: (a: number, b: number) => boolean = () => false,
): Duplicate[] {
  const asked = questions.map(({ instruction, input }) => {
    const given = input === "" ? "" : normalise(input);
    return NO_INPUT.has(wordsOf(given)) ? { instruction, input: "" } : { instruction, input: given };
  });
  const hasInput = asked.map(({ input }) => input !== "");
  const inputs = ranked(asked.map(({ input }) => input));
  const instructions = ranked(asked.map(({ instruction }) => normalise(instruction)));
  // All of a question is needed only where some have an input and others not.
  const isMixed = hasInput.includes(true) && hasInput.includes(false);
  const wholes = isMixed
    ? ranked(
        questions.map(({ instruction, input }, place) =>
          normalise(hasInput[place] ? `${instruction}\n\n${input}` : instruction),
        ),
      )
    : instructions;

  const byInput = new Index(threshold);
  const [withInput, withoutInput] = [new Index(threshold), new Index(threshold)];
  const duplicates: Duplicate[] = [];
  for (const index of questions.keys()) {
    const own = hasInput[index] === true;
    const [input, instruction, whole] = [
      inputs[index] as Ranked,
      instructions[index] as Ranked,
      wholes[index] as Ranked,
    ];
    const candidates = [
      ...(own ? byInput.candidates(input) : []),
      ...(own && !isMixed ? [] : withoutInput.candidates(whole)),
      ...(own ? [] : withInput.candidates(whole)),
    ];
    let best: Duplicate | undefined;
    for (const of of candidates) {
      if (mayRepeat(index, of)) continue;
      const found =
        own && hasInput[of]
          ? Math.min(
              similarity(input, inputs[of] as Ranked, threshold),
              similarity(instruction, instructions[of] as Ranked, threshold),
            )
          : similarity(whole, wholes[of] as Ranked, threshold);
      if (found >= threshold && found > (best?.similarity ?? 0)) best = { index, of, similarity: found };
    }
    if (best !== undefined) {
      duplicates.push(best);
      continue;
    }
    if (own) byInput.add(input, index);
    if (isMixed || !own) (own ? withInput : withoutInput).add(whole, index);
  }
  return duplicates;
}
