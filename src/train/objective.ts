import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import type { Look, StepContext } from "../methods/method.ts";
import { batchOf, type LossOptions, type Model, paddedOf, tokenLoss } from "../models/index.ts";

/** Name of the i-th micro-batch of a stream among a program's arguments. */
export const microBatchName = (stream: string, i: number): string => `${stream}.${i}`;

/**
 * The loss of a stream's batch at any weights, for a method to differentiate.
 *
 * A batch that comes in several micro-batches is their sum (each is already divided by the tokens of all). Their
 * gradients are taken one after the other, each waiting for the one before, so that only one micro-batch's activations
 * are in memory; the result is that of the whole batch, whatever the method does with it.
 *
 * @throws {BoosterError} `METHOD_NEEDS_WHOLE_BATCH` where a method looks into a loss that comes in several micro-batches
 */
export function lossOfStreams(
  model: Model,
  frozen: Tree,
  inputs: Tree,
  microBatches: number,
  options: LossOptions,
): StepContext["loss"] {
  const one = (weights: Tree, name: string, { padded, ...look }: Look = {}) =>
    tokenLoss(model, { ...frozen, ...weights }, batchOf(name, inputs), {
      ...options,
      ...look,
      ...(padded === undefined ? {} : { padded: paddedOf(name, inputs) }),
    });
  return (weights, stream, look) => {
    const names = Array.from({ length: microBatches }, (_, i) => microBatchName(stream, i));
    if (microBatches === 1) return one(weights, names[0] as string, look);
    if (look !== undefined) throw needsWholeBatch(microBatches);
    let total: { value: Tensor; grad: Tree } | undefined;
    for (const name of names) {
      const previous = total && Object.values(total.grad).reduce((last, x) => (x.id > last.id ? x : last));
      const at = previous === undefined ? weights : tree.mapTree(weights, (x) => ops.barrier(x, previous));
      const part = valueAndGrad((w) => one(w, name))(at);
      total = total
        ? { value: ops.add(total.value, part.value), grad: tree.add(total.grad, part.grad) }
        : { value: part.value, grad: part.grad };
    }
    const { value, grad } = total as { value: Tensor; grad: Tree };
    return ops.customGradient(Object.values(weights), value, (g) =>
      Object.keys(weights).map((name) => () => ops.mul(grad[name] as Tensor, g)),
    );
  };
}

/** What a method's step is given; it has no trainable weights and no state of its own until they are added. */
export function stepContext({ model, frozen, inputs, microBatches = 1, loss }: ContextOptions): StepContext {
  return {
    weights: {},
    loss: lossOfStreams(model, frozen, inputs, microBatches, loss),
    model,
    loraScale: loss.loraScale,
    params: (weights) => ({ ...frozen, ...weights }),
    padded(stream) {
      if (microBatches > 1) throw needsWholeBatch(microBatches);
      return paddedOf(microBatchName(stream, 0), inputs);
    },
    inputs: {},
    state: {},
  };
}

export interface ContextOptions {
  readonly model: Model;
  /** Weights that are not trained. */
  readonly frozen: Tree;
  /** Arguments of the program: the batches of all streams. */
  readonly inputs: Tree;
  /** Default 1. */
  readonly microBatches?: number;
  readonly loss: LossOptions;
}

const needsWholeBatch = (microBatches: number) =>
  new BoosterError("METHOD_NEEDS_WHOLE_BATCH", "this method looks inside a batch, which must then be whole", {
    expected: "microBatches 1",
    found: `microBatches ${microBatches}`,
    hint: "Use microBatches 1 and, where memory is short, memory: low or a smaller batchSize.",
  });
