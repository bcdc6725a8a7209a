import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { freshInner, INNER_COPIES, INNER_MEMORY } from "../../inner-adamw.ts";
import type { Call, Method, StepContext, StepDirection } from "../../method.ts";
import { adversaryStep } from "./adversary.ts";
import { sharesOf } from "./losses.ts";
import { options, type TarOptions } from "./options.ts";
import { randomMapping, randomVectors } from "./random-mapping.ts";
import { lossAndStates, stateDistance } from "./representations.ts";
import { accumulate, tamperLossOf } from "./tamper.ts";
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
export const tar: Method<TarOptions> = {
  name: "tar",
  stage: "alignment",
  streams: ["alignment", "harmful"],
  options,
  copies: ({ representations, tamperLoss }) => ({
    snapshot: "weights",
    buffer: "zeros",
    ...INNER_COPIES,
    ...(representations || tamperLoss === "preference" ? { reference: "weights" } : {}),
  }),
  memory: ({ model }, { mappingSteps }) => ({
    tamper: { shape: [], fill: 0 },
    ...INNER_MEMORY,
    ...(mappingSteps > 0 ? { randomVectors: { shape: [model.vocabSize, model.hiddenSize], fill: 0 } } : {}),
  }),
  inputs: () => ({ rate: { dtype: "float32", shape: [] }, scale: { dtype: "float32", shape: [] } }),
  passes({ innerSteps, trajectories, subsample, tamperLoss, representations }) {
    const evaluations = trajectories * Math.floor(innerSteps / subsample);
    const [forward, backward] = tamperLoss === "preference" ? [4, 2] : [1, 1];
    const own = trajectories * innerSteps + 1;
    return {
      forward: own + evaluations * forward + (representations ? 1 : 0),
      backward: own + evaluations * backward,
    };
  },
  also: {
    begin(context) {
      const { copies, memory } = freshInner(context);
      const buffer = tree.scale(context.copies.buffer as Tree, 0);
      return {
        weights: context.weights,
        copies: { ...copies, snapshot: context.weights, buffer },
        memory: { ...memory, tamper: ops.mul(context.memory.tamper as Tensor, 0) },
      };
    },
    again: (context) => ({ weights: context.copies.snapshot as Tree, ...freshInner(context) }),
    adversary: (context) => adversaryStep(context, "harmful"),
    adversaryOnRetain: (context) => adversaryStep(context, "alignment"),
    tamper: (context, chosen) => accumulate(context, (w) => tamperLossOf(context, w, chosen)),
    map: randomMapping,
    firstStep: (context, chosen) => ({ ...outerStep(context, chosen), restart: true }),
  },
  step: outerStep,
  plan(step, facts, chosen) {
    const { mappingSteps, trajectories, innerSteps } = chosen;
    if (step < mappingSteps) return [{ program: "map" }];
    const outer = step - mappingSteps;
    const paired = chosen.tamperLoss === "preference";
    const attacks = Array.from({ length: trajectories }, (_, m): Call[] => {
      const n = outer * trajectories + m;
      const rows = trajectoryRows(facts, step, n, { innerSteps, paired });
      return [
        { program: m === 0 ? "begin" : "again" },
        ...trajectory(chosen, drawAdversary(facts.seed, n, chosen), rows),
      ];
    });
    return [...attacks.flat(), { program: outer === 0 && mappingSteps > 0 ? "firstStep" : "step" }];
  },
  extraSteps: (_, { mappingSteps }) => mappingSteps,
  prepare: async ({ model, seed }, { mappingSteps }) =>
    mappingSteps === 0 ? {} : { memory: { randomVectors: randomVectors(model, seed) } },
};

/** Loss on refusals, and how far their hidden states are from those of the first weights. */
export function retainLoss(context: StepContext, weights: Tree, { representations, retainNorm }: TarOptions) {
  if (!representations) {
    const loss = context.loss(weights, "alignment");
    return { loss, total: loss };
  }
  const reference = lossAndStates(context, context.copies.reference as Tree, "alignment");
  const { loss, states } = lossAndStates(context, weights, "alignment");
  const distance = stateDistance(
    states,
    reference.states,
    sharesOf(context.padded("alignment"), loss.dtype),
    retainNorm,
  );
  return { loss, stateDistance: distance, total: ops.add(loss, distance) };
}

/** From the snapshot along the retain gradient and the buffer. */
function outerStep(context: StepContext, chosen: TarOptions): StepDirection {
  const snapshot = context.copies.snapshot as Tree;
  const buffer = context.copies.buffer as Tree;
  const tamper = context.memory.tamper as Tensor;
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
