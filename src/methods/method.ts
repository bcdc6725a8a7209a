import type { z } from "zod";
import type { Tensor, Tree } from "../autodiff/index.ts";

/** What a method's step is given: the trainable weights and the loss of a stream's current batch at any weights. */
export interface StepContext {
  readonly weights: Tree;
  /** Mean token cross-entropy of the stream's batch (a scalar), e.g. `loss(weights, "harmful")`. */
  loss(weights: Tree, stream: string): Tensor;
}

export interface StepDirection {
  /** What the optimiser receives, before clipping. */
  readonly gradient: Tree;
  /** Scalars for the log; `loss` is what the method reports as its training loss. */
  readonly metrics: { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;
}

/** A training method: one file and one row of `METHODS`. The trainer knows none by name. */
export interface Method<Options = unknown> {
  readonly name: string;
  readonly stage: "alignment" | "fine-tuning";
  /** Batches that a step draws; the first one defines the epoch. */
  readonly streams: readonly string[];
  readonly options: z.ZodType<Options>;
  step(context: StepContext, options: Options): StepDirection;
}
