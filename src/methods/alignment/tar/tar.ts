import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { freshInner } from "../../inner-adamw.ts";
import { type Call, method, type StepContext, type StepDirection } from "../../method.ts";
import { sharesOf } from "./losses.ts";
import { options, stateOf, type TarOptions, type TarState } from "./options.ts";
import { randomMapping, randomVectors } from "./random-mapping.ts";
import { lossAndStates, stateDistance } from "./representations.ts";
import { accumulate, adversaryStep, tamperLossOf } from "./tamper.ts";
import { drawAdversary, trajectory, trajectoryRows } from "./trajectory.ts";

/**
 * TAR: tampering attack resistance, first-order meta-learning against adversaries of K steps.
 *
 *     snapshot w
 *     for M adversaries:  AdamW on h, K steps, rate drawn, moments fresh
 *       after every subsample-th step i:  buffer += ∇ [λ s_i / M · L_TR] at the tampered weights
 *       back to w
 *     G = ∇ [f(w) + mean over states of ‖h_l(w) - h_l(w_0)‖] + buffer
 *
 * The gradient at the tampered weights is used at w: nothing is differentiated through the adversary. Its weights, moments and the
 * buffer live as long as the step, so a step is many calls: `begin`, then for each adversary `adversary` (or `adversaryOnRetain`),
 * `tamper` and, between two, `again`, then `step`. With λ = 0 and `representations: false` this is SFT.
 * `mappingSteps` puts random mapping before it: the hidden states of harmful rows are turned towards a random vector a token.
 * Source: Tamirisa et al., arXiv 2408.00761, Algorithm 1; docs/methods/tar.md compares it with the authors' code.
 */
export const tar = method({
  name: "tar",
  label: "TAR",
  stage: "align",
  streams: ["alignment", "harmful", "general"],
  options,
  limit: { lambda: 0, representations: false, innerSteps: 2, subsample: 1, adversaryRates: [1e-2] },
  trial: { innerSteps: 4, subsample: 2, trajectories: 2, adversaryRates: [1e-2], mappingSteps: 1 },
  tried: [16, 0.25, 1, 4].map((lambda) => ({
    lambda,
    innerSteps: 8,
    subsample: 2,
    adversaryRates: [1e-4, 5e-4, 2e-3],
  })),
  state: stateOf,
  create: (chosen) => ({
    passes: passesOf(chosen),
    streams: ["alignment", "harmful", ...(chosen.retain === "general" ? ["general"] : [])],
    prepare: async ({ model, seed }) => ({
      state: chosen.mappingSteps === 0 ? {} : { randomVectors: randomVectors(model, seed) },
    }),
    step: (context) => outerStep(context, chosen),
    programs: {
      begin: ({ weights, state }) => ({
        weights,
        state: {
          ...freshInner(state),
          snapshot: weights,
          buffer: tree.scale(state.buffer, 0),
          tamper: ops.mul(state.tamper, 0),
        },
      }),
      again: ({ state }) => ({ weights: state.snapshot, state: freshInner(state) }),
      adversary: (context) => adversaryStep(context, "harmful"),
      adversaryOnRetain: (context) => adversaryStep(context, chosen.retain),
      tamper: (context) => accumulate(context, (w) => tamperLossOf(context, w, chosen)),
      map: (context) => randomMapping(context, chosen),
      firstStep: (context) => ({ ...outerStep(context, chosen), restart: true }),
    },
    schedule: {
      inputs: () => ({ rate: { dtype: "float32", shape: [] }, scale: { dtype: "float32", shape: [] } }),
      extraSteps: () => chosen.mappingSteps,
      calls(step, facts) {
        const { mappingSteps, trajectories, innerSteps, retain } = chosen;
        if (step < mappingSteps) return [{ program: "map" }];
        const outer = step - mappingSteps;
        const paired = chosen.tamperLoss === "preference";
        const attacks = Array.from({ length: trajectories }, (_, m): Call[] => {
          const n = outer * trajectories + m;
          const rows = trajectoryRows(facts, step, n, { innerSteps, paired, retain });
          return [
            { program: m === 0 ? "begin" : "again" },
            ...trajectory(chosen, drawAdversary(facts.seed, n, chosen), rows),
          ];
        });
        return [...attacks.flat(), { program: outer === 0 && mappingSteps > 0 ? "firstStep" : "step" }];
      },
    },
  }),
});

function passesOf({ innerSteps, trajectories, subsample, tamperLoss, representations }: TarOptions) {
  const evaluations = trajectories * Math.floor(innerSteps / subsample);
  const [forward, backward] = tamperLoss === "preference" ? [4, 2] : [1, 1];
  const own = trajectories * innerSteps + 1;
  return {
    forward: own + evaluations * forward + (representations ? 1 : 0),
    backward: own + evaluations * backward,
  };
}

/** Loss on refusals, and how far their hidden states are from those of the first weights. */
export function retainLoss(
  context: StepContext<TarState>,
  weights: Tree,
  { representations, retainNorm, retain }: TarOptions,
) {
  if (!representations) {
    const loss = context.loss(weights, retain);
    return { loss, total: loss };
  }
  const reference = lossAndStates(context, context.state.reference as Tree, retain);
  const { loss, states } = lossAndStates(context, weights, retain);
  const distance = stateDistance(states, reference.states, sharesOf(context.padded(retain), loss.dtype), retainNorm);
  return { loss, stateDistance: distance, total: ops.add(loss, distance) };
}

/** From the snapshot along the retain gradient and the buffer. */
function outerStep(context: StepContext<TarState>, chosen: TarOptions): StepDirection<TarState> {
  const { snapshot, buffer, tamper } = context.state;
  const metrics: Record<string, Tensor> = { tamperLosses: tamper };
  const { grad } = valueAndGrad((w) => {
    const { total, ...parts } = retainLoss(context, w, chosen);
    Object.assign(metrics, parts);
    return total;
  })(snapshot);
  const kept =
    chosen.bound === null
      ? buffer
      : tree.scale(buffer, ops.where(ops.less(tamper, chosen.bound), ops.constant(0, tamper.dtype), 1));
  return { weights: snapshot, gradient: tree.add(grad, kept), metrics: metrics as StepDirection["metrics"] };
}
