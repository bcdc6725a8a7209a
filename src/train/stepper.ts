import type { BatchSampler } from "../data/batches.ts";
import type { Watch } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/** What one optimiser step did. */
export interface StepResult {
  /** False when a loss, gradient or perturbation was not finite and the step therefore changed nothing. */
  readonly applied: boolean;
  /** Tokens of all streams that the step computed with; feeds the throughput display. */
  readonly tokens: number;
  /** Scalars to record, e.g. `{ loss: 1.2, gradientNorm: 0.4, harmfulLoss: 2.1 }`. `loss` is always there. */
  readonly metrics: { readonly loss: number } & Readonly<Record<string, number>>;
}

/**
 * One compiled training step together with its state: it knows the method, the loop does not.
 *
 * @example
 * const result = await stepper.step({ alignment: [rows], harmful: [otherRows] }, 5e-4, 0);
 */
export interface Stepper {
  /** Names of the batch streams that a step needs; the first one defines the epoch. */
  readonly streams: readonly string[];
  /** Runs one optimiser step, counted from 0. Each stream comes as micro-batches of row indices, some perhaps empty. */
  step(
    batches: Readonly<Record<string, readonly Int32Array[]>>,
    learningRate: number,
    step: number,
  ): Promise<StepResult>;
  /** Measures what the steps need, before the first one; what it finds becomes part of the state. @throws `STOPPED` */
  prepare?(watch?: Watch): Promise<void>;
  /** All state that lives across steps, by name: weights, moments, method state, counters. */
  save(): Promise<Map<string, HostTensor>>;
  /** Puts back what `save` returned, bit for bit. */
  load(state: ReadonlyMap<string, HostTensor>): Promise<void>;
  /** The trainable tensors alone, as they are published. */
  adapter(): Promise<ReadonlyMap<string, HostTensor<"float32">>>;
}

/** Where a stream's batches come from: a pure function of the step, so that resuming needs no sampler state. */
export type BatchSource = Pick<BatchSampler, "stepsPerEpoch" | "batch">;

/** Each stream's batch of a step, in parts that are computed one after the other. */
export const microBatches = (
  sources: Readonly<Record<string, BatchSource>>,
  step: number,
  parts: number,
): Record<string, Int32Array[]> =>
  Object.fromEntries(Object.entries(sources).map(([stream, source]) => [stream, split(source.batch(step), parts)]));

/** Rows in parts as equal as can be; some are empty when there are fewer rows. */
export function split(rows: Int32Array, parts: number): Int32Array[] {
  const boundary = (part: number) => Math.floor((part * rows.length) / parts);
  return Array.from({ length: parts }, (_, i) => rows.subarray(boundary(i), boundary(i + 1)));
}
