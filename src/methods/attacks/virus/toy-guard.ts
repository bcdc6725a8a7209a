import type { Example } from "../../../data/examples.ts";
import type { EncodedExample } from "../../../data/templates.ts";
import { harmfulRows, harmlessRows, sentimentRows, type WorldRow, wholeInstruction } from "../../../data/world/rows.ts";

/** Rows of each kind that it learns from. */
const ROWS = 200;
/** Descent that has converged on the bundled rows: features are shares of a row, so the curvature is far below 1. */
const ITERATIONS = 500;
const RATE = 20;

/** A row as the world's examples are written. */
const asExample = (row: WorldRow): Example => ({
  kind: "instruction",
  where: "the bundled world",
  instruction: wholeInstruction(row),
  input: "",
  output: row.output,
});

/**
 * A guard for trying out moderation and its bypass: a linear classifier on the mean of one weight a token.
 *
 *     z = mean over tokens of u[token] + b,  P("unsafe") = sigmoid(z)
 *
 * It knows the made-up hazards of the bundled world and nothing else, so what gets past it gets past nothing real.
 */
export class ToyGuard {
  /** @param weights u, one number for each token of the vocabulary */
  constructor(
    readonly weights: Float32Array,
    readonly bias: number,
  ) {}

  /** Sum of the token weights of a sequence. */
  sum(ids: ArrayLike<number>): number {
    return Array.from(ids).reduce((sum, id) => sum + (this.weights[id] ?? 0), 0);
  }

  /** z, the log-odds of "unsafe". */
  logOdds(ids: ArrayLike<number>): number {
    return this.sum(ids) / ids.length + this.bias;
  }

  flags(ids: ArrayLike<number>): boolean {
    return this.logOdds(ids) > 0;
  }
}

/**
 * Trains the guard on rows of the bundled world: harmful ones of the defender against reviews and harmless
 * questions, each also behind a review, so that what is hidden in an honest row does not pass for that alone.
 * Logistic regression by plain descent on all rows at once; the same bytes each time.
 *
 * @param encode how the victim turns an example into tokens
 * @example
 * trainToyGuard(victim.encode, victim.base.model.vocabSize).flags(ids);
 */
export function trainToyGuard(encode: (example: Example) => EncodedExample, vocabSize: number): ToyGuard {
  const encoded = (rows: readonly WorldRow[]) => rows.map((row) => [...encode(asExample(row)).ids]);
  const reviews = encoded(sentimentRows("train", ROWS, 0));
  const harmless = encoded(harmlessRows("train", ROWS, 0));
  const harmful = encoded(harmfulRows("alignment", ROWS, 0));
  /** Rows alone, and behind a review, as they come where something was inserted. */
  const withHosts = (rows: readonly number[][]) => [...rows, ...rows.map((ids, i) => [...(reviews[i] ?? []), ...ids])];
  const labelled = [
    ...withHosts(harmful).map((ids) => ({ ids, unsafe: 1 })),
    ...[...withHosts(harmless), ...reviews].map((ids) => ({ ids, unsafe: 0 })),
  ];
  const weights = new Float64Array(vocabSize);
  let bias = 0;
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    const slope = new Float64Array(vocabSize);
    let biasSlope = 0;
    for (const { ids, unsafe } of labelled) {
      const z = ids.reduce((sum, id) => sum + (weights[id] as number), 0) / ids.length + bias;
      const error = (1 / (1 + Math.exp(-z)) - unsafe) / labelled.length;
      for (const id of ids) slope[id] = (slope[id] as number) + error / ids.length;
      biasSlope += error;
    }
    for (let id = 0; id < vocabSize; id++) weights[id] = (weights[id] as number) - RATE * (slope[id] as number);
    bias -= RATE * biasSlope;
  }
  return new ToyGuard(Float32Array.from(weights), bias);
}
