import { ops, type Tensor, type Tree, tree } from "../autodiff/index.ts";
import { type AdamWOptions, adamW } from "../optim/index.ts";
import type { MemorySpec, Outcome } from "./method.ts";

const FIRST = "firstMoment";
const SECOND = "secondMoment";
const CORRECTIONS = ["correction1", "correction2"] as const;

type State = Required<Pick<Outcome, "copies" | "memory">>;

/** What a method declares in `copies` for an AdamW of its own beside the run's optimiser. */
export const INNER_COPIES = { [FIRST]: "zeros", [SECOND]: "zeros" } as const;

/** What it declares in `memory`. */
export const INNER_MEMORY: Readonly<Record<(typeof CORRECTIONS)[number], MemorySpec>> = {
  correction1: { shape: [], fill: 0 },
  correction2: { shape: [], fill: 0 },
};

/** The state as before the first step. */
export const freshInner = ({ copies, memory }: State): State => ({
  copies: { [FIRST]: tree.scale(copies[FIRST] as Tree, 0), [SECOND]: tree.scale(copies[SECOND] as Tree, 0) },
  memory: Object.fromEntries(CORRECTIONS.map((name) => [name, ops.mul(memory[name] as Tensor, 0)])),
});

/**
 * One AdamW step for weights that the run's optimiser does not see.
 *
 * @example
 * const { weights, copies, memory } = innerAdamW({ weights, gradient, copies, memory, learningRate: inputs.rate }, {});
 */
export function innerAdamW(
  given: State & { readonly weights: Tree; readonly gradient: Tree; readonly learningRate: Tensor },
  options: AdamWOptions,
): State & { readonly weights: Tree } {
  const { weights, gradient, copies, memory, learningRate } = given;
  const { update } = adamW(options);
  const updated = Object.entries(weights).map(([name, w]) => {
    const moments = [FIRST, SECOND].map((moment): [string, Tensor] => [moment, copies[moment]?.[name] as Tensor]);
    const state = { ...memory, ...Object.fromEntries(moments) };
    return { name, ...update({ weights: w, gradient: gradient[name] as Tensor, state, learningRate }) };
  });
  const part = (key: string): Tree =>
    Object.fromEntries(updated.map(({ name, state }) => [name, state[key] as Tensor]));
  return {
    weights: Object.fromEntries(updated.map((next) => [next.name, next.weights])),
    copies: { [FIRST]: part(FIRST), [SECOND]: part(SECOND) },
    memory: Object.fromEntries(CORRECTIONS.map((name) => [name, updated[0]?.state[name] as Tensor])),
  };
}
