import { setImmediate } from "node:timers/promises";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Following } from "./event.ts";
import type { MetricsRow } from "./metrics.ts";
import { assertFinite, assertProgress, assertSound } from "./non-finite.ts";
import { Pace } from "./pace.ts";
import type { RunDirectory } from "./run-directory.ts";
import { ofStream } from "./run-facts.ts";
import { type BatchSource, microBatches, type Stepper, type StepResult } from "./stepper.ts";
import { watchOf } from "./watch.ts";

/** A measurement beside the training loss. */
export interface Evaluation {
  /** Whether it runs before the step of that number, counted from 0; it always runs after the last one. */
  due(step: number): boolean;
  /** Returns what to record; undefined when it was cut short because `signal` asked to stop. */
  run(step: number, signal: AbortSignal | undefined): Promise<Readonly<Record<string, number>> | undefined>;
  /** Whether what has been measured so far says that training ends here; asked after each measurement, with the rows of the whole run. */
  enough?(rows: readonly MetricsRow[]): boolean;
}

export interface TrainingPlan extends Following {
  readonly stepper: Stepper;
  readonly run: RunDirectory;
  /** One source for each of `stepper.streams`. A batch of it is the whole batch of an optimiser step. */
  readonly batches: Readonly<Record<string, BatchSource>>;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Learning rate of step 0, 1, ... */
  readonly learningRate: (step: number) => number;
  /** Parts in which each batch is computed, one after the other, to save memory. Default 1. */
  readonly microBatches?: number;
  /** Steps between checkpoints; there is also one at the start, at the end and at a stop. */
  readonly checkpointEvery: number;
  /** Seconds after which there is one in any case. */
  readonly checkpointSeconds?: number | undefined;
  /** Told of each checkpoint once it is saved; with it, every epoch ends with one. */
  readonly onCheckpoint?: ((step: number, epochEnd: boolean, metricsBytes: number) => Promise<void>) | undefined;
  readonly evaluation?: Evaluation;
}

export type TrainingResult =
  | { readonly outcome: "stopped"; readonly step: number }
  | {
      readonly outcome: "finished";
      readonly step: number;
      /** The trained tensors, every number finite. */
      readonly adapter: ReadonlyMap<string, HostTensor<"float32">>;
    };

/** What the loop itself remembers; all of it goes into each checkpoint. */
interface Counters {
  step: number;
  /** Step of the last evaluation, -1 before the first. */
  evaluated: number;
  skippedInARow: number;
  skippedTotal: number;
  tokens: number;
}

/**
 * Trains: the one loop of all methods and stages.
 *
 *     restore the newest whole checkpoint, cut metrics.jsonl to its length
 *     until done: evaluate if due; checkpoint if due; one optimiser step; one metrics row
 *
 * A run that was killed at any moment and resumed gives the same bytes as one that was not, provided that the stepper
 * is deterministic.
 *
 * @throws {BoosterError} `NON_FINITE_STEPS` after three useless steps in a row, `NON_FINITE_UPDATE`,
 * `NON_FINITE_ADAPTER`; `STOPPED` where there is nothing to save yet; everything that `CheckpointStore`, `MetricsLog` and the lock throw.
 * @example
 * const result = await train({ stepper, run, batches, steps: 1000, learningRate: () => 5e-4, checkpointEvery: 100 });
 */
export async function train(plan: TrainingPlan): Promise<TrainingResult> {
  const { run, stepper, steps: total, signal, emit } = plan;
  for (const text of run.notices) emit?.({ type: "notice", text });
  const { counters, saved } = await restore(plan);
  emit?.({ type: "work", text: "first step" });
  let savedStep = saved;
  let savedAt = performance.now();
  const pace = new Pace(total);
  const { stepsPerEpoch } = ofStream(plan.batches, stepper.streams);
  const endsEpoch = (step: number): boolean => step > 0 && (step === total || step % stepsPerEpoch === 0);
  const mustSave = (step: number): boolean =>
    isDue(plan.checkpointEvery, step, step === total) ||
    (plan.onCheckpoint !== undefined && endsEpoch(step)) ||
    performance.now() - savedAt >= 1000 * (plan.checkpointSeconds ?? Number.POSITIVE_INFINITY);

  const save = async (): Promise<void> => {
    if (savedStep === counters.step) return;
    run.assertHeld();
    run.metrics.sync();
    const metricsBytes = run.metrics.bytes;
    run.checkpoints.save(counters.step, await stepper.save(), { ...counters, metricsBytes });
    savedStep = counters.step;
    savedAt = performance.now();
    await plan.onCheckpoint?.(counters.step, endsEpoch(counters.step), metricsBytes);
  };

  for (;;) {
    // One turn of the event loop, so that signals and messages arrive between steps.
    await setImmediate();
    const { step } = counters;
    const last = step === total;
    const measures = plan.evaluation !== undefined && (last || plan.evaluation.due(step));
    if (signal?.aborted !== true && measures && counters.evaluated !== step) {
      const values = await plan.evaluation?.run(step, signal);
      if (values !== undefined) {
        run.metrics.append({ kind: "evaluation", step, ...values });
        counters.evaluated = step;
      }
    }
    const stopping = signal?.aborted === true;
    // From the rows alone, so that a run that is resumed here ends here too.
    const enough = counters.evaluated === step && plan.evaluation?.enough?.(run.metrics.rows()) === true;
    if (stopping || enough || mustSave(step)) await save();
    if (stopping) return { outcome: "stopped", step };
    if (last || enough) return { outcome: "finished", step, adapter: assertFinite(await stepper.adapter()) };
    const result = await takeStep(plan, counters);
    emit?.({ type: "step", ...pace.after(result, counters.step, plan.learningRate(step)) });
  }
}

const isDue = (every: number, step: number, last: boolean): boolean => last || step % every === 0;

/** One optimiser step and its row. */
async function takeStep(plan: TrainingPlan, counters: Counters): Promise<StepResult> {
  const { stepper, run } = plan;
  const learningRate = plan.learningRate(counters.step);
  const result = await stepper.step(
    microBatches(sourcesOf(plan), counters.step, plan.microBatches ?? 1),
    learningRate,
    counters.step,
  );
  counters.step++;
  counters.tokens += result.tokens;
  counters.skippedInARow = result.applied ? 0 : counters.skippedInARow + 1;
  counters.skippedTotal += result.applied ? 0 : 1;
  run.metrics.append({
    kind: "step",
    step: counters.step,
    epoch: counters.step / ofStream(plan.batches, stepper.streams).stepsPerEpoch,
    learningRate,
    ...result.metrics,
    skipped: counters.skippedTotal,
    tokens: counters.tokens,
  });
  assertSound(result, counters.step);
  assertProgress(counters.skippedInARow, result, counters.step, () => recentRows(plan, counters));
  return result;
}

/** The batches of the steps that were skipped in a row, oldest first. */
function recentRows(plan: TrainingPlan, { step, skippedInARow }: Counters): Record<string, Int32Array[]> {
  const recent = (source: BatchSource) =>
    Array.from({ length: skippedInARow }, (_, i) => source.batch(step - skippedInARow + i));
  return Object.fromEntries(Object.entries(sourcesOf(plan)).map(([stream, source]) => [stream, recent(source)]));
}

/** @throws {BoosterError} `STREAM_MISSING` */
const sourcesOf = ({ batches, stepper: { streams } }: TrainingPlan): Record<string, BatchSource> =>
  Object.fromEntries(streams.map((stream) => [stream, ofStream(batches, streams, stream)]));

/** Puts stepper, counters and metrics back to the newest whole checkpoint, or to the start. */
async function restore(plan: TrainingPlan): Promise<{ counters: Counters; saved: number | undefined }> {
  const { run, stepper } = plan;
  const { checkpoint, problems } = run.checkpoints.newest();
  for (const text of problems) plan.emit?.({ type: "notice", text });
  if (checkpoint === undefined) {
    // What it finds is saved with the first checkpoint: until then there is nothing to lose.
    await stepper.prepare?.(watchOf(plan, { preparing: true }));
    run.checkpoints.checkSpace(bytesOf(await stepper.save()));
    run.metrics.truncate(0);
    const counters = { step: 0, evaluated: -1, skippedInARow: 0, skippedTotal: 0, tokens: 0 };
    return { counters, saved: undefined };
  }
  const { evaluated = -1, skippedInARow = 0, skippedTotal = 0, tokens = 0, metricsBytes = 0 } = checkpoint.counters;
  await stepper.load(checkpoint.tensors);
  run.metrics.truncate(metricsBytes);
  plan.emit?.({ type: "notice", text: `resumed after step ${checkpoint.step}` });
  const counters = { step: checkpoint.step, evaluated, skippedInARow, skippedTotal, tokens };
  return { counters, saved: checkpoint.step };
}

const bytesOf = (tensors: ReadonlyMap<string, HostTensor>): number =>
  [...tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0);
