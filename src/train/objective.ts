import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import type { StepContext } from "../methods/method.ts";
import {
  type Batch,
  batchOf,
  batchTypes,
  countLabelled,
  type Example,
  type LossOptions,
  type Model,
  packBatch,
  packPadded,
  paddedTypes,
  tokenLoss,
  weightsOf,
} from "../models/index.ts";
import type { Mapped } from "../runtime/index.ts";
import type { HostTensor } from "../tensor/tensor.ts";

/**
 * Types of a stream's batch as a program's arguments: in micro-batches, and for methods that look inside with every row apart, and with
 * its padding. What a program does not read is no part of it.
 */
export const streamTypes = (stream: string, chunks: number, microBatches = 1) => ({
  parts: Array.from({ length: microBatches }, (_, i) => batchTypes(`${stream}.${i}`, chunks)),
  apart: batchTypes(`${stream} apart`, chunks),
  padded: paddedTypes(`${stream} apart`),
});

type PackedStream = Mapped<ReturnType<typeof streamTypes>, HostTensor>;

/**
 * The micro-batches of one stream as arguments; each is divided by the labelled tokens of all of them.
 *
 * @param isRead whether a program reads the batch in that form; the others are not made. By default all are
 */
export function packStream(parts: Parts, chunks: number, padId?: number): PackedStream;
export function packStream(parts: Parts, chunks: number, padId: number, isRead: IsRead): Partial<PackedStream>;
export function packStream(
  parts: Parts,
  chunks: number,
  padId = 0,
  isRead: IsRead = () => true,
): Partial<PackedStream> {
  const all = parts.flat();
  const totalLabelled = all.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
  return {
    ...(isRead("parts") && { parts: parts.map((part) => packBatch(part, { chunks, totalLabelled })) }),
    ...(isRead("apart") && { apart: packBatch(all, { chunks, totalLabelled, share: false, join: false }) }),
    ...(isRead("padded") && { padded: packPadded(all, padId) }),
  };
}

type Parts = readonly (readonly Example[])[];
type IsRead = (form: keyof PackedStream) => boolean;

/** Batches of all streams among a program's arguments. */
export type StreamInputs = Readonly<Record<string, Mapped<ReturnType<typeof streamTypes>, Tensor>>>;

export interface ContextOptions {
  readonly model: Model;
  /** Weights that are not trained. */
  readonly base: Tree;
  /** What LoRA factors among the trained weights are multiplied by. Default 1. */
  readonly scale?: number;
  readonly streams: StreamInputs;
  readonly loss: Pick<LossOptions, "chunks" | "recompute" | "blocks">;
}

/**
 * What a method's step is given; it has no trainable weights, no state of its own and no learning rate until they are added.
 *
 * @throws {BoosterError} `METHOD_NEEDS_WHOLE_BATCH` where a method looks into a batch that comes in several micro-batches
 */
export function stepContext({ model, base, scale = 1, streams, loss }: ContextOptions): StepContext {
  const params = (weights: Tree) => weightsOf(model, base, { scale, tensors: weights });
  const stream = (name: string) => streams[name] as StreamInputs[string];
  const whole = (name: string) => {
    const { parts, padded } = stream(name);
    if (parts.length === 1) return padded;
    throw new BoosterError("METHOD_NEEDS_WHOLE_BATCH", "this method looks inside a batch, which must then be whole", {
      expected: "microBatches 1",
      found: `microBatches ${parts.length}`,
      hint: "Use microBatches 1 and, where memory is short, memory: low or a smaller batchSize.",
    });
  };
  return {
    weights: {},
    model,
    params,
    loss(weights, name, look) {
      const { padded: isPadded, ...watch } = look ?? {};
      const padded = isPadded && whole(name);
      const options = { ...loss, ...watch, ...(padded && { padded }) };
      if (look !== undefined) whole(name);
      const { parts: shared, apart } = stream(name);
      const parts = (look?.tap === undefined && padded === undefined ? shared : [apart]).map(batchOf);
      const one = (at: Tree, batch: Batch) => tokenLoss(model, params(at), batch, options);
      return parts.length === 1 ? one(weights, parts[0] as Batch) : sumOfParts(weights, parts, one);
    },
    padded: whole,
    inputs: {},
    learningRate: ops.constant(0),
    state: {},
  };
}

/**
 * The sum of micro-batches' losses. Their gradients are taken one after the other, each waiting for the one before, so that
 * only one micro-batch's activations are in memory; the result is that of the whole batch, whatever a method does with it.
 */
function sumOfParts(weights: Tree, parts: readonly Batch[], loss: (weights: Tree, batch: Batch) => Tensor): Tensor {
  let total: { value: Tensor; grad: Tree } | undefined;
  for (const batch of parts) {
    const previous = total && Object.values(total.grad).reduce((last, x) => (x.id > last.id ? x : last));
    const at = previous === undefined ? weights : tree.mapTree(weights, (x) => ops.barrier(x, previous));
    const part = valueAndGrad((w) => loss(w, batch))(at);
    total = total
      ? { value: ops.add(total.value, part.value), grad: tree.add(total.grad, part.grad) }
      : { value: part.value, grad: part.grad };
  }
  const { value, grad } = total as { value: Tensor; grad: Tree };
  return ops.customGradient(Object.values(weights), value, (g) =>
    Object.keys(weights).map((name) => () => ops.mul(grad[name] as Tensor, g)),
  );
}
