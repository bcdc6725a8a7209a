/** Similarity from which on two texts count as near duplicates. */
export const NEAR_DUPLICATE = 0.8;
const SHINGLE = 5;

/** A text that repeats an earlier one. */
export interface Duplicate {
  /** Place of the text, and of the earlier one that it repeats. */
  readonly index: number;
  readonly of: number;
  /** Jaccard similarity of their shingles; 1 for texts that are equal once normalised. */
  readonly similarity: number;
}

/** A text without what does not matter when comparing: compatibility forms, case, punctuation, runs of blanks. */
export const normalise = (text: string): string =>
  text
    .normalize("NFKC")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();

function shinglesOf(normalised: string): string[] {
  const shingles = new Set<string>();
  for (let at = 0; at === 0 || at + SHINGLE <= normalised.length; at++)
    shingles.add(normalised.slice(at, at + SHINGLE));
  return [...shingles];
}

/** Jaccard similarity of two ascending lists: common / all. */
function jaccard(a: Int32Array, b: Int32Array): number {
  let common = 0;
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const difference = (a[i] as number) - (b[j] as number);
    if (difference === 0) common++;
    if (difference <= 0) i++;
    if (difference >= 0) j++;
  }
  return common / (a.length + b.length - common);
}

/** Every text as ascending ranks of its shingles, the rarest shingle of all texts having rank 0. */
function rankShingles(texts: readonly string[]): Int32Array[] {
  const shingles = texts.map(shinglesOf);
  const counts = new Map<string, number>();
  for (const shingle of shingles.flat()) counts.set(shingle, (counts.get(shingle) ?? 0) + 1);
  const byRarity = [...counts].sort((a, b) => a[1] - b[1]);
  const ranks = new Map(byRarity.map(([shingle], rank) => [shingle, rank]));
  return shingles.map((own) => Int32Array.from(own, (shingle) => ranks.get(shingle) as number).sort());
}

/**
 * Finds all texts that equal or nearly equal an earlier text which is kept itself. Exact, not probabilistic.
 *
 * Two sets with Jaccard similarity of at least t share an element among their rarest |x| - ceil(t |x|) + 1 ones, so only
 * texts that meet there are compared (Bayardo et al., "Scaling up all pairs similarity search", WWW 2007).
 *
 * @param mayRepeat whether text `a` may stand beside the earlier text `b` after all, because they are of the same set
 */
export function findDuplicates(
  texts: readonly string[],
  threshold: number = NEAR_DUPLICATE,
  mayRepeat: (a: number, b: number) => boolean = () => false,
): Duplicate[] {
  const ranked = rankShingles(texts.map(normalise));
  const holders = new Map<number, number[]>();
  const duplicates: Duplicate[] = [];
  for (const [index, own] of ranked.entries()) {
    const rarest = own.subarray(0, own.length - Math.ceil(threshold * own.length) + 1);
    const candidates = new Set<number>();
    for (const rank of rarest) for (const other of holders.get(rank) ?? []) candidates.add(other);
    let best: Duplicate | undefined;
    for (const of of candidates) {
      if (mayRepeat(index, of)) continue;
      const other = ranked[of] as Int32Array;
      if (other.length < threshold * own.length || own.length < threshold * other.length) continue;
      const similarity = jaccard(own, other);
      if (similarity < threshold || similarity <= (best?.similarity ?? 0)) continue;
      best = { index, of, similarity };
    }
    if (best !== undefined) {
      duplicates.push(best);
      continue;
    }
    for (const rank of rarest) {
      const list = holders.get(rank);
      if (list === undefined) holders.set(rank, [index]);
      else list.push(index);
    }
  }
  return duplicates;
}
