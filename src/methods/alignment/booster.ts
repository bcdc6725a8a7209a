import { z } from "zod";
import { ops, tree, valueAndGrad } from "../../autodiff/index.ts";
import { flooredNorm } from "../distance.ts";
import { method, type Outcome, type StepContext, type StepDirection } from "../method.ts";

const { add, scale, step, sub } = tree;

const options = z.strictObject({
  lambda: z.number().min(0).default(5).describe("weight of the attenuated harmful gain (the paper's λ)"),
  alpha: z.number().min(0).default(0.1).describe("length of the simulated harmful step (the paper's α)"),
  through: z
    .enum(["identity", "exact"])
    .default("identity")
    .describe("treat the simulated step's derivative as the identity, as the paper does, or differentiate it"),
});
type BoosterOptions = z.infer<typeof options>;

/**
 * Booster: `minimise f(w) + λ (h(w) - h(w - α ∇h(w) / ‖∇h(w)‖))`, f the loss on refusals, h on harmful answers.
 *
 *     g1 = ∇h(w)                        the harmful gradient
 *     w' = w - α g1 / ‖g1‖              one simulated harmful step, one norm over all weights
 *     g2 = ∇h(w')                       what the attacker would gain from there, on the same batch
 *     G  = ∇f(w) + λ (g1 - g2)          attenuate the gain
 *
 * The paper drops the Jacobian of `w'`: `through: "identity"`. `"exact"` keeps it, `I - α ∂(g1/‖g1‖)/∂w`, which brings in
 * the Hessian of h. With λ = 0 this is SFT. Three forward and three backward passes, `exact` five.
 * Source: Huang et al., arXiv 2409.01586, Algorithm 1; docs/methods/booster.md compares it with the authors' code.
 */
export const booster = method({
  name: "booster",
  label: "Booster",
  stage: "align",
  streams: ["alignment", "harmful"],
  options,
  limit: { lambda: 0 },
  tried: [
    { lambda: 1, alpha: 0.1 },
    { lambda: 1, alpha: 0.2 },
    { lambda: 2, alpha: 0.1 },
    { lambda: 5, alpha: 0.1 },
  ],
  create: (chosen) => ({
    passes: { forward: 3, backward: chosen.through === "exact" ? 5 : 3 },
    step: (context) => (chosen.through === "exact" ? exact(context, chosen) : attenuate(context, chosen)),
  }),
});

function attenuate(context: StepContext, chosen: BoosterOptions): StepDirection {
  const attenuation = harmfulAttenuation(context, chosen);
  const align = valueAndGrad((w) => context.loss(w, "alignment"))(context.weights);
  return {
    gradient: add(align.grad, attenuation.gradient),
    metrics: { loss: align.value, ...attenuation.metrics },
  };
}

/** What is added to the gradient of any alignment loss: `λ (g1 - g2)`, and the metrics of the simulated step. */
export function harmfulAttenuation(
  { weights, loss }: Pick<StepContext, "weights" | "loss">,
  { lambda, alpha }: Pick<BoosterOptions, "lambda" | "alpha">,
): Required<Pick<Outcome, "gradient" | "metrics">> {
  const harmful = valueAndGrad((w) => loss(w, "harmful"));
  const before = harmful(weights);
  const norm = flooredNorm(before.grad);
  const attacked = step(weights, before.grad, ops.div(-alpha, norm));
  const after = harmful(attacked);
  return {
    gradient: scale(sub(before.grad, after.grad), lambda),
    metrics: {
      harmfulLoss: before.value,
      harmfulLossAfter: after.value,
      harmfulLossDrop: ops.sub(before.value, after.value),
      harmfulGradientNorm: norm,
    },
  };
}

function exact({ weights, loss }: StepContext, { lambda, alpha }: BoosterOptions): StepDirection {
  const metrics: Record<string, ops.Operand> = {};
  const objective = valueAndGrad((w) => {
    const before = valueAndGrad((u) => loss(u, "harmful"))(w);
    const norm = flooredNorm(before.grad);
    const attacked = step(w, before.grad, ops.div(-alpha, norm));
    const after = loss(attacked, "harmful");
    const align = loss(w, "alignment");
    Object.assign(metrics, {
      loss: align,
      harmfulLoss: before.value,
      harmfulLossAfter: after,
      harmfulLossDrop: ops.sub(before.value, after),
      harmfulGradientNorm: norm,
    });
    return ops.add(align, ops.mul(ops.sub(before.value, after), lambda));
  })(weights);
  return { gradient: objective.grad, metrics: metrics as StepDirection["metrics"] };
}
