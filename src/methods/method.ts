import type { z } from "zod";
import type { Tensor, TensorType, Tree } from "../autodiff/index.ts";
import { BoosterError, type Watch } from "../errors.ts";
import type { Adapter, Example, LossOptions, Model, NamedWeights, PaddedBatch, Weights } from "../models/index.ts";
import type { Device, DeviceTensors } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Rewrite } from "./rewrite.ts";
import type { Row } from "./row.ts";
import type { HostState, Some, StateFacts, StateOf, StateSpec } from "./state.ts";

/** What a loss may show and change on its way. */
export interface Look extends Pick<LossOptions, "tap" | "weigh"> {
  /** Compute every position, padding and the last layer's too, so that `tap` sees what it sees in `paddedStates`. */
  readonly padded?: true;
}

/** What a method's programs are given: the trainable weights and the loss of a stream's current batch at any weights. */
export interface StepContext<S extends StateSpec = StateSpec> {
  readonly weights: Tree;
  /** Mean token cross-entropy of the stream's batch (a scalar), e.g. `loss(weights, "harmful")`. */
  loss(weights: Tree, stream: string, look?: Look): Tensor;
  readonly model: Model;
  /** All weights of the model, with the trainable ones as given. */
  params(weights: Tree): Weights;
  /** The stream's batch with its padding, for methods that look at every position. */
  padded(stream: string): PaddedBatch;
  /** What the method's schedule declares as `inputs`. */
  readonly inputs: Tree;
  /** The run's learning rate at this step, a scalar. */
  readonly learningRate: Tensor;
  /** What the method keeps across steps. */
  readonly state: StateOf<S>;
}

/** What a program of a method changes. Nothing changes where a loss, norm or metric is not finite. */
export interface Outcome<S extends StateSpec = StateSpec> {
  /** What the optimiser receives, before clipping; without one it takes no step. */
  readonly gradient?: Tree;
  /** 0 or 1 for each weight, broadcast to it: the optimiser leaves weights with 0, and their moments, as they are. */
  readonly active?: Tree;
  /** Factors of the learning rate, by weight; 1 where none is given. */
  readonly rates?: Tree;
  /** Where the optimiser's step begins, or, without a gradient, the new weights; the present ones by default. */
  readonly weights?: Tree;
  /** Forget the optimiser's moments. */
  readonly restart?: true;
  /** What changes of the method's state. */
  readonly state?: Some<StateOf<S>>;
  /** Scalars for the log. */
  readonly metrics?: Readonly<Record<string, Tensor>>;
}

export interface StepDirection<S extends StateSpec = StateSpec> extends Outcome<S> {
  readonly gradient: Tree;
  /** `loss` is what the method reports as its training loss. */
  readonly metrics: { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;
}

/** What is fixed while a run lasts. */
export interface RunFacts extends StateFacts {
  /** Optimiser steps of the run, those that the schedule adds not counted. */
  readonly steps: number;
  readonly seed: number;
  /** Steps in which the first stream is gone through once. */
  readonly stepsPerEpoch: number;
  /** Rows of the stream's n-th batch, in the run's random order; every epoch a new one. */
  batch(stream: string, n: number): Int32Array;
}

/** One run of a program. A step is one or several, one after the other, all of them or none. */
export interface Call {
  /** One of the method's programs. Default `step`. */
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
  /** What is trained, as it is before the first step. */
  readonly adapter: Adapter<NamedWeights>;
  /** Examples of each stream. */
  readonly rows: Readonly<Record<string, readonly Example[]>>;
  readonly seed: number;
  /** Called before each part of the work. @throws `STOPPED` */
  readonly watch: Watch;
}

/** Values that replace the initial ones. */
export interface Prepared<S extends StateSpec = StateSpec> {
  readonly weights?: ReadonlyMap<string, HostTensor<"float32">>;
  readonly state?: Some<HostState<S>>;
}

/** State at the end, on the host. */
export interface Finished<S extends StateSpec = StateSpec> {
  readonly weights: ReadonlyMap<string, HostTensor<"float32">>;
  readonly state: HostState<S>;
}

/** What is trained: LoRA factors, or all weights. */
export type Tuned = "lora" | "full";

/** What happens when, beside one call of `step` on the streams' next batches. Pure functions, so that resuming needs no state of its own. */
export interface Schedule {
  /** Rows of a batch of each stream, where they are not the run's `batchSize`. */
  readonly batchSizes?: Readonly<Record<string, number>>;
  /** Arguments that the host computes for each call. */
  inputs?(facts: StateFacts): Readonly<Record<string, TensorType>>;
  /** The calls of a step, counted from 0; the last one reports the loss. */
  calls?(step: number, facts: RunFacts): readonly Call[];
  /** Steps that the method takes beside the run's own. */
  extraSteps?(facts: RunFacts): number;
  /** How a step (counted from 0) sees a row of a stream, where that is not the row as it is. */
  readers?(
    rows: Readonly<Record<string, readonly Example[]>>,
    seed: number,
  ): Readonly<Record<string, (row: number, step: number) => Example>>;
}

/** A training method whose settings are chosen. */
export interface Training<S extends StateSpec = StateSpec> {
  /** Forward and backward passes of one step, on average. */
  readonly passes: { readonly forward: number; readonly backward: number };
  /** Those of the row's streams that it reads with these settings, where it does without some. */
  readonly streams?: readonly string[];
  step(context: StepContext<S>): StepDirection<S>;
  /** Further programs over the same state. */
  readonly programs?: Readonly<Record<string, (context: StepContext<S>) => Outcome<S>>>;
  readonly schedule?: Schedule;
  /** What has to be measured before the first step. */
  prepare?(preparation: Preparation): Promise<Prepared<S>>;
  /** How rows are written before they become tokens; in fine-tuning alone. */
  readonly rewrite?: Rewrite;
  /** What is published in place of the trained weights. */
  publish?(finished: Finished<S>): ReadonlyMap<string, HostTensor<"float32">>;
}

/** Training options that a method may have advice on. */
export interface Advised {
  readonly warmup: number;
  readonly loraRank: number;
  readonly loraAlpha: number;
  readonly optimizer: { readonly name: string; readonly beta1?: number | undefined };
}

/** What a row says of its method, whatever the settings. */
interface Facts {
  /** Batches that a step draws; the first one defines the epoch. In fine-tuning that one is the user's data. */
  readonly streams: readonly string[];
  /** What it can train, where that is LoRA factors alone or all weights alone. */
  readonly trains?: Tuned;
  /** What is told of a run's training options that contradict the paper. */
  advice?(training: Advised): readonly string[];
  /** Set where an outcome has `active`: the optimiser then counts the steps of each weight by itself. */
  readonly masked?: true;
}

/** What the trainer runs. It knows no method by name. */
export interface TrainingMethod extends Facts, Omit<Training, "streams"> {
  readonly name: string;
  readonly stage: "align" | "finetune";
  readonly state: StateSpec;
  /** All of them, `step` too. */
  readonly programs: Required<Training>["programs"];
  readonly schedule: Required<Schedule>;
}

/** A training method that can be chosen: one file and one row of `METHODS`. */
export interface Method<Name extends string = string, Options extends z.ZodObject = z.ZodObject>
  extends Row<Name, Options, TrainingMethod, "align" | "finetune">,
    Facts {
  /** Settings in which it is SFT on its first stream, bit for bit. */
  readonly limit?: z.input<Options>;
  /** Settings in which it does all that it can within a few steps of a tiny model, where its defaults are too large for that. */
  readonly trial?: z.input<Options>;
}

const PLAIN: Required<Schedule> = {
  batchSizes: {},
  inputs: () => ({}),
  calls: () => [{}],
  extraSteps: () => 0,
  readers: () => ({}),
};

/**
 * A training method as a row of `METHODS`.
 *
 * Most are one program `step` alone. What lives across steps is declared as `state`. Methods that do different things at different
 * times have several programs over the same state, and their schedule says which ones run at a step.
 */
export function method<
  const Name extends string,
  Options extends z.ZodObject,
  const S extends StateSpec = Record<never, never>,
>(
  row: Omit<Method<Name, Options>, "create"> & {
    /** What lives across steps. */
    readonly state?: S | ((options: z.output<Options>) => S);
    create(options: z.output<Options>): Training<S>;
  },
): Method<Name, Options> {
  const { name, stage, streams, trains, masked, advice, state = {} } = row;
  const facts = {
    name,
    stage,
    streams,
    ...(trains && { trains }),
    ...(masked && { masked }),
    ...(advice && { advice }),
  };
  return {
    ...row,
    create(options) {
      const made = row.create(options);
      const declared = typeof state === "function" ? state(options) : state;
      const programs = { step: made.step, ...made.programs };
      const schedule = { ...PLAIN, ...made.schedule };
      // What a method's own programs know of its state, nobody else does.
      return { ...facts, ...made, state: declared, programs, schedule } as unknown as TrainingMethod;
    },
  };
}

/** @throws {BoosterError} `OPTIONS_CONFLICT` where the method cannot train these weights */
export function checkTuned({ name, trains }: Pick<TrainingMethod, "name" | "trains">, tune: Tuned): void {
  if (trains === undefined || trains === tune) return;
  throw new BoosterError(
    "OPTIONS_CONFLICT",
    `${name} trains ${trains === "lora" ? "LoRA factors alone" : "the weights themselves"}`,
    { expected: `tune: ${trains}`, found: `tune: ${tune}`, where: "tune" },
  );
}
