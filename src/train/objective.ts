import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../autodiff/index.ts";
import type { StepContext } from "../methods/method.ts";
import { batchOf, type LossOptions, type Model, tokenLoss } from "../models/index.ts";

/** Name of the i-th micro-batch of a stream among a program's arguments. */
export const microBatchName = (stream: string, i: number): string => `${stream}.${i}`;

/**
 * The loss of a stream's batch at any weights, for a method to differentiate.
 *
 * A batch that comes in several micro-batches is their sum (each is already divided by the tokens of all). Their
 * gradients are taken one after the other, each waiting for the one before, so that only one micro-batch's activations
 * are in memory; the result is that of the whole batch, whatever the method does with it.
 */
export function lossOfStreams(
  model: Model,
  frozen: Tree,
  inputs: Tree,
  microBatches: number,
  options: LossOptions,
): StepContext["loss"] {
  const one = (weights: Tree, name: string) =>
    tokenLoss(model, { ...frozen, ...weights }, batchOf(name, inputs), options);
  return (weights, stream) => {
    const names = Array.from({ length: microBatches }, (_, i) => microBatchName(stream, i));
    if (microBatches === 1) return one(weights, names[0] as string);
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
