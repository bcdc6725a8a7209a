import { z } from "zod";
import { ops, type Tensor, tree, valueAndGrad } from "../../autodiff/index.ts";
import { tensor } from "../../tensor/tensor.ts";
import { squaredDistance } from "../distance.ts";
import { method, type StepContext } from "../method.ts";
import { copy, scalar } from "../state.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(1).describe("strength of the pull to where the other state ended (the paper's ρ)"),
  alignmentSteps: z.int().min(0).default(100).describe("steps on alignment data in a row (the paper's K1)"),
  userSteps: z.int().min(0).default(900).describe("steps on the user's data in a row (the paper's K2)"),
  mode: z
    .enum(["paper", "reference"])
    .default("paper")
    .describe("pull from the first step on, or, as the authors' code does, only after a tenth of the steps"),
});
type State = "alignment" | "user";

const STATE = { alignment: copy("weights"), user: copy("weights"), switches: scalar() } as const;

/**
 * Lisa: steps on refusals and steps on the user's data take turns, each kept near the place where the other ended.
 *
 *     alignment state, K1 steps:  G = ∇[f(w) + ρ/2 ‖w - w_U‖²]      f the loss on refusals
 *     user state, K2 steps:       G = ∇[g(w) + ρ/2 ‖w - w_A‖²]      g the loss on the user's data
 *     at a switch:                w_A or w_U = w, for the state that is left; both begin as the initial weights
 *
 * One optimiser throughout. All steps count towards the run's length, and the user's batches of the alignment steps are
 * passed over. K1 = 0 or no alignment rows leaves the pull to the start alone, K2 = 0 alignment alone, ρ = 0 plain turns.
 * One forward and one backward pass.
 * Source: Huang et al., arXiv 2405.18641, Algorithm 2; docs/methods/lisa.md compares it with the authors' code.
 */
export const lisa = method({
  name: "lisa",
  label: "Lisa",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { rho: 0, alignmentSteps: 0 },
  trial: { alignmentSteps: 2, userSteps: 1 },
  tried: [1, 0.01, 0.1, 10].map((rho) => ({ rho, alignmentSteps: 10, userSteps: 90 })),
  state: STATE,
  create: ({ rho, alignmentSteps, userSteps, mode }) => ({
    passes: { forward: 1, backward: 1 },
    step: (context) => lazyStep("user", context, rho),
    programs: {
      alignment: (context) => lazyStep("alignment", context, rho),
    },
    schedule: {
      inputs: () => ({ switches: { dtype: "float32", shape: [] }, pull: { dtype: "float32", shape: [] } }),
      calls(step, { rows, steps, batch }) {
        const { state, switches, place } = stateAt(step, (rows.alignment ?? 0) === 0 ? 0 : alignmentSteps, userSteps);
        const pull = mode === "paper" || step > 0.1 * steps ? 1 : 0;
        const inputs = () => ({ switches: tensor("float32", [], [switches]), pull: tensor("float32", [], [pull]) });
        if (state === "user") return [{ inputs }];
        return [{ program: "alignment", rows: { alignment: batch("alignment", place) }, inputs }];
      },
    },
  }),
});

/** The state of a step, the number of switches before it, and its place among the steps of its state. */
export function stateAt(
  step: number,
  alignmentSteps: number,
  userSteps: number,
): { readonly state: State; readonly switches: number; readonly place: number } {
  if (alignmentSteps === 0) return { state: "user", switches: 0, place: step };
  if (userSteps === 0) return { state: "alignment", switches: 0, place: step };
  const cycle = Math.floor(step / (alignmentSteps + userSteps));
  const at = step % (alignmentSteps + userSteps);
  return at < alignmentSteps
    ? { state: "alignment", switches: 2 * cycle, place: cycle * alignmentSteps + at }
    : { state: "user", switches: 2 * cycle + 1, place: cycle * userSteps + at - alignmentSteps };
}

function lazyStep(now: State, { weights, loss, state, inputs }: StepContext<typeof STATE>, rho: number) {
  const other = now === "user" ? "alignment" : "user";
  // By switches seen, not by steps: were the first step after a switch skipped, the next one still stores the anchor.
  const switched = ops.less(state.switches, inputs.switches as Tensor);
  const anchor = tree.mapTree(weights, (w, name) => ops.where(switched, w, state[other][name] as Tensor));
  const own = valueAndGrad((w) => loss(w, now))(weights);
  const strength = ops.mul(inputs.pull as Tensor, rho);
  const distance = squaredDistance(weights, anchor);
  return {
    gradient: tree.step(own.grad, tree.sub(weights, anchor), strength),
    state: { [other]: anchor, switches: inputs.switches as Tensor },
    metrics: {
      loss: ops.add(own.value, ops.mul(distance, ops.mul(strength, 0.5))),
      anchorDistance: distance,
      drift: squaredDistance(anchor, state[now]),
    },
  };
}
