import { BatchSampler } from "../data/batches.ts";
import { BoosterError } from "../errors.ts";
import type { RunFacts, TrainingMethod } from "../methods/method.ts";
import type { Model } from "../models/index.ts";

export interface RunOptions {
  readonly model: Model;
  readonly method: TrainingMethod;
  /** Number of rows of each stream. */
  readonly rows: Readonly<Record<string, number>>;
  readonly batchSize: number;
  readonly seed: number;
  /** Instead of epochs. */
  readonly steps?: number | undefined;
  readonly epochs: number;
}

/** Every method reads its first stream in the same order, so that methods differ in nothing but what they do. */
const orderOf = (stream: string, { streams }: TrainingMethod): string => {
  if (stream === streams[0]) return "alignment";
  return stream === "alignment" ? "guide" : stream;
};

/** What belongs to a stream, by default to the first. @throws {BoosterError} `STREAM_MISSING` */
export function ofStream<T>(
  given: Readonly<Record<string, T>>,
  streams: readonly string[],
  name = streams[0] ?? "",
): T {
  const found = given[name];
  if (found !== undefined) return found;
  throw new BoosterError("STREAM_MISSING", "the method needs data that it was not given", {
    expected: streams.join(", "),
    found: Object.keys(given).join(", ") || "none",
  });
}

/**
 * The order in which each stream is read, and how long the run is.
 *
 * @throws {BoosterError} `STREAM_MISSING` when a stream of the method has no rows
 */
export function planRun(options: RunOptions): {
  readonly batches: Readonly<Record<string, BatchSampler>>;
  readonly facts: RunFacts;
  /** Steps in all, those that the method takes for itself included. */
  readonly steps: number;
} {
  const { model, method, rows, batchSize, seed, epochs } = options;
  const sizes = method.schedule.batchSizes;
  const batches = Object.fromEntries(
    Object.entries(rows).map(([stream, count]) => [
      stream,
      new BatchSampler(count, sizes[stream] ?? batchSize, seed, `batches/${orderOf(stream, method)}`),
    ]),
  );
  const sampler = (stream?: string) => ofStream(batches, method.streams, stream);
  const { stepsPerEpoch } = sampler();
  const facts: RunFacts = {
    model,
    rows,
    steps: options.steps ?? Math.ceil(epochs * stepsPerEpoch),
    seed,
    stepsPerEpoch,
    batch: (stream, n) => sampler(stream).batch(n),
  };
  return { batches, facts, steps: facts.steps + method.schedule.extraSteps(facts) };
}
