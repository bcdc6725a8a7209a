import type { Tokenizer } from "../../../formats/tokenizer.ts";
import type { RandomStream } from "../../../tensor/random.ts";

/** Rows of numbers over the vocabulary, one for each position: `[length][vocabulary]`. */
export type ByPosition = readonly ArrayLike<number>[];

/** A single-token change: the position, and which of its candidates comes there (0 the best). */
export type Substitution = readonly [position: number, rank: number];

/** Tokens that are not plain printable ASCII, which excludes line breaks, and special tokens. */
export function illegalTokens(tokenizer: Pick<Tokenizer, "vocabSize" | "isSpecial" | "decode">): Set<number> {
  const illegal = new Set<number>();
  for (let id = 0; id < tokenizer.vocabSize; id++) {
    if (tokenizer.isSpecial(id) || !/^[ -~]+$/.test(tokenizer.decode([id]))) illegal.add(id);
  }
  return illegal;
}

/**
 * The slopes that candidates are ranked by: `d loss / dx`.
 *
 * `referenceGradientLeak` adds `d f / dx`, which the authors' code leaves in the gradient buffer of x from the pass that
 * computes the similarity; without that pass (lambda 1) there is nothing to leak.
 */
export function rankingSlopes(
  slopes: ByPosition,
  victimSlopes: ByPosition,
  { lambda, referenceGradientLeak }: { readonly lambda: number; readonly referenceGradientLeak: boolean },
): ByPosition {
  if (!referenceGradientLeak || lambda === 1) return slopes;
  return slopes.map((row, position) =>
    Float64Array.from(row, (slope, token) => slope + (victimSlopes[position]?.[token] ?? 0)),
  );
}

/** Per position the k legal tokens with the lowest slope, lowest first; the lower id on ties. */
export const topCandidates = (slopes: ByPosition, illegal: ReadonlySet<number>, k: number): number[][] =>
  slopes.map((row) =>
    Array.from({ length: row.length }, (_, token) => token)
      .filter((token) => !illegal.has(token))
      .sort((a, b) => (row[a] as number) - (row[b] as number) || a - b)
      .slice(0, k),
  );

/** `count` different single-token changes, all equally likely; all there are where there are fewer. */
export function drawSubstitutions(
  candidates: readonly (readonly number[])[],
  count: number,
  stream: RandomStream,
  iteration: number,
): Substitution[] {
  const all = candidates.flatMap((ranks, position) => ranks.map((_, rank): Substitution => [position, rank]));
  return Array.from(stream.permutation(all.length, iteration).subarray(0, count), (at) => all[at] as Substitution);
}

/** The tokens with one of them changed. */
export const substitute = (
  tokens: readonly number[],
  candidates: readonly (readonly number[])[],
  [position, rank]: Substitution,
): number[] => tokens.map((token, place) => (place === position ? (candidates[position]?.[rank] ?? token) : token));

/** Place of the lowest loss, the first one on ties; a loss that is not a number never wins. */
export const bestOf = (losses: readonly number[]): number =>
  losses.reduce((best, loss, place) => (loss < (losses[best] ?? Number.POSITIVE_INFINITY) ? place : best), 0);
