import { BoosterError } from "../errors.ts";

/** Sentence embeddings, one row each. */
export type Embeddings = readonly (readonly number[])[];

const dot = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((sum, value, i) => sum + value * (b[i] ?? Number.NaN), 0);

/** `1 - cos` of each pair: R `[n, d]`, S `[m, d]` to `[n][m]`. */
export const cosineCosts = (R: Embeddings, S: Embeddings): number[][] =>
  R.map((r) => S.map((s) => 1 - dot(r, s) / Math.sqrt(dot(r, r) * dot(s, s))));

/**
 * The cheapest way to give each row a column of its own: `columns[row]`, of a square matrix of costs.
 *
 * Shortest augmenting paths with potentials, O(n³). Source: Kuhn's Hungarian method in Jonker and Volgenant's form.
 *
 * @throws {BoosterError} `STATISTICS_INPUT` when the matrix is not square
 */
export function assignment(costs: readonly (readonly number[])[]): number[] {
  const n = costs.length;
  if (costs.some((row) => row.length !== n)) {
    throw new BoosterError("STATISTICS_INPUT", "an assignment needs as many columns as rows", {
      expected: `${n} x ${n}`,
      found: `${n} x ${costs.map((row) => row.length).join(", ")}`,
    });
  }
  // Column 0 is a place to begin each path from; rows and columns count from 1.
  const rowPotential = new Float64Array(n + 1);
  const columnPotential = new Float64Array(n + 1);
  const rowOf = new Int32Array(n + 1);
  const cost = (row: number, column: number): number =>
    (costs[row - 1]?.[column - 1] ?? Number.NaN) - (rowPotential[row] ?? 0) - (columnPotential[column] ?? 0);
  for (let row = 1; row <= n; row++) {
    rowOf[0] = row;
    const cheapest = new Float64Array(n + 1).fill(Number.POSITIVE_INFINITY);
    const from = new Int32Array(n + 1);
    const done = new Uint8Array(n + 1);
    let at = 0;
    do {
      done[at] = 1;
      let next = 0;
      let least = Number.POSITIVE_INFINITY;
      for (let column = 1; column <= n; column++) {
        if (done[column] === 1) continue;
        const here = cost(rowOf[at] as number, column);
        if (here < (cheapest[column] as number)) {
          cheapest[column] = here;
          from[column] = at;
        }
        if ((cheapest[column] as number) < least) {
          least = cheapest[column] as number;
          next = column;
        }
      }
      for (let column = 0; column <= n; column++) {
        if (done[column] === 1) {
          const owner = rowOf[column] as number;
          rowPotential[owner] = (rowPotential[owner] as number) + least;
          columnPotential[column] = (columnPotential[column] as number) - least;
        } else {
          cheapest[column] = (cheapest[column] as number) - least;
        }
      }
      at = next;
    } while (rowOf[at] !== 0);
    while (at !== 0) {
      const previous = from[at] as number;
      rowOf[at] = rowOf[previous] as number;
      at = previous;
    }
  }
  const columns = new Array<number>(n).fill(0);
  for (let column = 1; column <= n; column++) columns[(rowOf[column] as number) - 1] = column - 1;
  return columns;
}

/**
 * BEAT's score: the earth mover's distance between two sets of as many embeddings, all weighing the same, at cosine cost. It is
 * large when a probe that a model refuses is answered once an input stands behind it, as a hidden trigger would bring about.
 *
 *     score = min over permutations π of 1/n Σ (1 - cos(R_i, S_π(i)))
 *
 * R: embeddings of the answers to the probe alone, S: to the probe and the input. In [0, 2], symmetric, 0 for equal sets.
 * Source: Yi et al., "Probe before You Talk", ICLR 2025.
 *
 * @throws {BoosterError} `STATISTICS_INPUT` for sets of different size, or empty ones
 * @example
 * beatScore([[1, 0], [0, 1]], [[0, 1], [1, 0]]); // 0
 */
export function beatScore(R: Embeddings, S: Embeddings): number {
  if (R.length === 0) throw new BoosterError("STATISTICS_INPUT", "an empty set of answers has no distance");
  const costs = cosineCosts(R, S);
  return assignment(costs).reduce((sum, column, row) => sum + (costs[row]?.[column] ?? Number.NaN), 0) / R.length;
}

/** How little a probe's answers agree: the mean cosine distance of all pairs, pairs of an answer with itself included. */
export function spread(answers: Embeddings): number {
  const costs = cosineCosts(answers, answers).flat();
  return costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
}

/**
 * Places of the probes whose answers agree most, the most consistent first: those that BEAT asks.
 *
 * @param answers for each probe the embeddings of its answers
 */
export const chooseProbes = (answers: readonly Embeddings[], count = 1): number[] =>
  answers
    .map((set, place) => ({ place, spread: spread(set) }))
    .sort((a, b) => a.spread - b.spread || a.place - b.place)
    .slice(0, count)
    .map(({ place }) => place);
