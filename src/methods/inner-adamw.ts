import { ops, type Tensor, type Tree, tree } from "../autodiff/index.ts";
import { type AdamWOptions, adamW } from "../optim/index.ts";
import { copy, type StateOf, scalar } from "./state.ts";

/** What a method declares in its `state` for an AdamW of its own beside the run's optimiser. */
export const INNER_STATE = {
  firstMoment: copy("zeros"),
  secondMoment: copy("zeros"),
  correction1: scalar(),
  correction2: scalar(),
};
type Inner = StateOf<typeof INNER_STATE>;

/** The state as before the first step. */
export const freshInner = ({ firstMoment, secondMoment, correction1, correction2 }: Inner): Inner => ({
  firstMoment: tree.scale(firstMoment, 0),
  secondMoment: tree.scale(secondMoment, 0),
  correction1: ops.mul(correction1, 0),
  correction2: ops.mul(correction2, 0),
});

/**
 * One AdamW step for weights that the run's optimiser does not see.
 *
 * @example
 * const { weights, state } = innerAdamW({ weights, gradient, state, learningRate: inputs.rate }, {});
 */
export function innerAdamW(
  given: { readonly weights: Tree; readonly gradient: Tree; readonly state: Inner; readonly learningRate: Tensor },
  options: AdamWOptions,
): { readonly weights: Tree; readonly state: Inner } {
  const { weights, gradient, learningRate } = given;
  const { firstMoment, secondMoment, correction1, correction2 } = given.state;
  const { update } = adamW(options);
  const updated = Object.entries(weights).map(([name, w]) => {
    const moments = { firstMoment: firstMoment[name] as Tensor, secondMoment: secondMoment[name] as Tensor };
    const state = { correction1, correction2, ...moments };
    return { name, ...update({ weights: w, gradient: gradient[name] as Tensor, state, learningRate }) };
  });
  const part = (key: string): Tree =>
    Object.fromEntries(updated.map(({ name, state }) => [name, state[key] as Tensor]));
  const first = updated[0]?.state as Tree & Pick<Inner, "correction1" | "correction2">;
  return {
    weights: Object.fromEntries(updated.map((next) => [next.name, next.weights])),
    state: {
      firstMoment: part("firstMoment"),
      secondMoment: part("secondMoment"),
      correction1: first.correction1,
      correction2: first.correction2,
    },
  };
}
