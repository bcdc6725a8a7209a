/** Which neurons of one matrix count as important for a query. */
export type Rule =
  | { readonly select: "threshold"; readonly epsilon: number }
  /** The so many of the highest scores; equal scores in the order of their places. */
  | { readonly select: "top"; readonly count: number };

/** Places of the highest scores, best first. */
export const topPlaces = (scores: ArrayLike<number>, count = scores.length): number[] =>
  Array.from({ length: scores.length }, (_, i) => i)
    .sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
    .slice(0, count);

/**
 * The neurons of a matrix that are important for every query.
 *
 * @example
 * const safety = new Neurons({ select: "top", count: 100 });
 * for (const query of queries) safety.see(scoresOf(query));
 * safety.places(); // in ascending order
 */
export class Neurons {
  private readonly rule: Rule;
  private common: Set<number> | undefined;
  private lowest: Float64Array | undefined;

  constructor(rule: Rule) {
    this.rule = rule;
  }

  /** Takes the scores of one more query in: a neuron that is not important for it is none any more. */
  see(scores: ArrayLike<number>): void {
    const { rule, common, lowest } = this;
    const important =
      rule.select === "top"
        ? topPlaces(scores, rule.count)
        : Array.from({ length: scores.length }, (_, i) => i).filter((i) => (scores[i] as number) >= rule.epsilon);
    this.common = new Set(common === undefined ? important : important.filter((i) => common.has(i)));
    this.lowest = Float64Array.from(scores, (score, i) => Math.min(score, lowest?.[i] ?? score));
  }

  /** In ascending order; none before the first query. */
  places(): number[] {
    return [...(this.common ?? [])].sort((a, b) => a - b);
  }

  /** The `most` places whose lowest score over the queries is highest, of `among`, in ascending order. */
  strongest(among: readonly number[], most: number): number[] {
    const scores = among.map((i) => this.lowest?.[i] as number);
    return topPlaces(scores, most)
      .map((i) => among[i] as number)
      .sort((a, b) => a - b);
  }
}

/**
 * Row of W_k or W_v that a dimension of a query head reads, where query heads share keys.
 *
 * `divide` is what the authors' code does: the index over the number of heads that share a key, which mixes dimensions.
 */
export function sharedRow(
  place: number,
  { group, width }: { readonly group: number; readonly width: number },
  by: "head" | "divide" = "head",
): number {
  if (by === "divide") return Math.floor(place / group);
  return Math.floor(place / width / group) * width + (place % width);
}

/** What is in the first list and not in the second. */
export function without(places: readonly number[], others: readonly number[]): number[] {
  const excluded = new Set(others);
  return places.filter((place) => !excluded.has(place));
}
