import { ops, type Tensor } from "../autodiff/index.ts";
import type { Optimizer, UpdateInput, UpdateResult } from "./optimizer.ts";

/** What an update of a method is given beside the gradient. */
export interface MaskedInput extends UpdateInput {
  /** `[parameters]`: 1 where a weight is updated, 0 where it and its state stay as they are; all are by default. */
  readonly active?: Tensor | undefined;
}

/** An optimiser that can leave some weights alone. */
export interface MaskedOptimizer extends Pick<Optimizer, "state" | "published"> {
  update(input: MaskedInput): UpdateResult;
}

/**
 * The optimiser as if each weight had one of its own: a weight that is left out of a step keeps its moments, is not
 * decayed, and its step count does not move, as for a tensor without a gradient in PyTorch.
 */
export function masked(optimizer: Optimizer): MaskedOptimizer {
  return {
    ...(optimizer.published && { published: optimizer.published }),
    state: (parameters) =>
      Object.fromEntries(
        Object.entries(optimizer.state(parameters)).map(([name, { dtype }]) => [name, { dtype, shape: [parameters] }]),
      ),
    update({ active, ...input }) {
      const updated = optimizer.update(input);
      if (active === undefined) return updated;
      const on = ops.less(0.5, active);
      const { weights, state } = updated;
      return {
        weights: ops.where(on, weights, input.weights),
        state: Object.fromEntries(
          Object.entries(state).map(([name, next]) => [name, ops.where(on, next, input.state[name] as Tensor)]),
        ),
      };
    },
  };
}
