import type { z } from "zod";
import type { Tensor, TensorType, Tree } from "../autodiff/index.ts";
import type { Example, Forward, Model, PaddedBatch, Weigh } from "../models/index.ts";
import type { Device, DeviceTensors } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/** What a loss may show and change on its way. */
export interface Look {
  /** Sees, and may replace, what modules put out. */
  readonly tap?: Forward["tap"];
  /** Weight of each labelled token in place of 1 / their number. */
  readonly weigh?: Weigh;
  /** Compute every position, padding and the last layer's too, so that `tap` sees what it sees in `paddedStates`. */
  readonly padded?: true;
}

/** What a method's programs are given: the trainable weights and the loss of a stream's current batch at any weights. */
export interface StepContext {
  readonly weights: Tree;
  /** Mean token cross-entropy of the stream's batch (a scalar), e.g. `loss(weights, "harmful")`. */
  loss(weights: Tree, stream: string, look?: Look): Tensor;
  readonly model: Model;
  /** LoRA's alpha / rank; 1 where all weights are trained. */
  readonly loraScale: number;
  /** All weights of the model, with the trainable ones as given. */
  params(weights: Tree): Tree;
  /** The stream's batch with its padding, for methods that look at every position. */
  padded(stream: string): PaddedBatch;
  /** What the method declared as `copies`. */
  readonly copies: Readonly<Record<string, Tree>>;
  /** What the method declared as `memory`. */
  readonly memory: Tree;
  /** What the method declared as `inputs`. */
  readonly inputs: Tree;
}

/** What a program of a method changes. Nothing changes where a loss, norm or metric is not finite. */
export interface Outcome {
  /** What the optimiser receives, before clipping; without one it takes no step. */
  readonly gradient?: Tree;
  /** 0 or 1 for each weight, broadcast to it: the optimiser leaves weights with 0, and their moments, as they are. */
  readonly active?: Tree;
  /** Where the optimiser's step begins, or, without a gradient, the new weights; the present ones by default. */
  readonly weights?: Tree;
  /** Forget the optimiser's moments. */
  readonly restart?: true;
  readonly copies?: Readonly<Record<string, Tree>>;
  readonly memory?: Tree;
  /** Scalars for the log. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

export interface StepDirection extends Outcome {
  readonly gradient: Tree;
  /** `loss` is what the method reports as its training loss. */
  readonly metrics: { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;
}

/** What is fixed while a run lasts. */
export interface RunFacts {
  readonly model: Model;
  /** Number of rows of each stream. */
  readonly rows: Readonly<Record<string, number>>;
  /** Optimiser steps of the run, the method's `extraSteps` not counted. */
  readonly steps: number;
  readonly seed: number;
  /** Steps in which the first stream is gone through once. */
  readonly stepsPerEpoch: number;
  /** Rows of the stream's n-th batch, in the run's random order; every epoch a new one. */
  batch(stream: string, n: number): Int32Array;
}

/** One run of a program. A step is one or several, one after the other, all of them or none. */
export interface Call {
  /** `step`, or a name in `also`. Default `step`. */
  readonly program?: string;
  /** Rows of the streams that the program reads; by default the stream's batch of this step. */
  readonly rows?: Readonly<Record<string, Int32Array>>;
  /** Values of the declared inputs, given the examples that the program reads. */
  inputs?(batches: Readonly<Record<string, readonly Example[]>>): Readonly<Record<string, HostTensor>>;
}

/** What `prepare` may look at, before the first step. */
export interface Preparation {
  readonly device: Device;
  readonly model: Model;
  /** Weights that are not trained, on the device. */
  readonly frozen: DeviceTensors;
  readonly trainable: ReadonlyMap<string, HostTensor<"float32">>;
  readonly loraScale: number;
  /** Examples of each stream. */
  readonly rows: Readonly<Record<string, readonly Example[]>>;
  readonly seed: number;
  /** Aborted to ask for a stop, which ends in `STOPPED`. */
  readonly signal?: AbortSignal;
}

/** Values that replace the initial ones. */
export interface Prepared {
  readonly weights?: ReadonlyMap<string, HostTensor<"float32">>;
  readonly copies?: Readonly<Record<string, ReadonlyMap<string, HostTensor<"float32">>>>;
  readonly memory?: Readonly<Record<string, HostTensor<"float32">>>;
}

/** State at the end, on the host. */
export interface Finished {
  readonly weights: ReadonlyMap<string, HostTensor<"float32">>;
  readonly copies: Readonly<Record<string, ReadonlyMap<string, HostTensor<"float32">>>>;
  readonly memory: Readonly<Record<string, HostTensor>>;
}

/** A small tensor that lives across steps; all entries begin as `fill`. */
export interface MemorySpec {
  readonly shape: readonly number[];
  readonly fill: number;
}

/** What is trained: LoRA factors, or all weights. */
export type Tuned = "lora" | "full";

/**
 * A training method: one file and one row of `METHODS`. The trainer knows none by name.
 *
 * Most are a `step` alone. What lives across steps is declared (`copies`, `memory`), and so is saved and resumed like the
 * weights. Methods that do different things at different times have several programs over the same state (`also`), and
 * `plan` says which ones run at a step: a pure function of the step, so that resuming needs no state of its own.
 */
export interface Method<Options = unknown> {
  readonly name: string;
  readonly stage: "alignment" | "fine-tuning";
  /** Batches that a step draws; the first one defines the epoch. In fine-tuning that one is the user's data. */
  readonly streams: readonly string[];
  readonly options: z.ZodType<Options>;
  step(context: StepContext, options: Options): StepDirection;
  /** Forward and backward passes of one step, on average. */
  passes(options: Options): { readonly forward: number; readonly backward: number };
  /** Rows of a batch of each stream, where they are not the run's `batchSize`. */
  batchSizes?(options: Options): Readonly<Record<string, number>>;
  /** Trees like the weights that live across steps: they begin as the weights, or as zeros. */
  copies?(options: Options): Readonly<Record<string, "weights" | "zeros">>;
  memory?(facts: Pick<RunFacts, "model" | "rows">, options: Options): Readonly<Record<string, MemorySpec>>;
  /** Arguments that the host computes for each call. */
  inputs?(facts: Pick<RunFacts, "model" | "rows">, options: Options): Readonly<Record<string, TensorType>>;
  /** What it can train, where that is LoRA factors alone or all weights alone. */
  readonly trains?: Tuned;
  /** Set where an outcome has `active`: the optimiser then counts the steps of each weight by itself. */
  readonly masked?: true;
  /** Further programs over the same state. */
  readonly also?: Readonly<Record<string, (context: StepContext, options: Options) => Outcome>>;
  /** The calls of a step, counted from 0; the last one reports the loss. Default: one of `step`. */
  plan?(step: number, facts: RunFacts, options: Options): readonly Call[];
  /** Steps that the method takes beside the run's own. */
  extraSteps?(facts: RunFacts, options: Options): number;
  /** How a step (counted from 0) sees a row of a stream, where that is not the row as it is. */
  readers?(
    rows: Readonly<Record<string, readonly Example[]>>,
    seed: number,
    options: Options,
  ): Readonly<Record<string, (row: number, step: number) => Example>>;
  /** What has to be measured before the first step. */
  prepare?(preparation: Preparation, options: Options): Promise<Prepared>;
  /** What is published in place of the trained weights. */
  publish?(finished: Finished, options: Options): ReadonlyMap<string, HostTensor<"float32">>;
}
