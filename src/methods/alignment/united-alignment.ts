import { z } from "zod";
import { grad, ops, tree, valueAndGrad } from "../../autodiff/index.ts";
import { squaredDistance } from "../distance.ts";
import { method } from "../method.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(1).describe("weight of the squared distance between the two gradients (ρ)"),
});

/**
 * United alignment: `minimise f(w) + ρ ‖∇u(w) - ga‖²`, f the loss on refusals, h on harmful answers, u = -log h: what
 * raises the harmful loss is to be what learns the refusals.
 *
 *     ga = ∇f(w)                        a constant of the penalty
 *     gu = -∇h(w) / h(w)
 *     G  = ga + 2 ρ ∇²u(w) (gu - ga)    through gu, hence the Hessian of u
 *
 * With ρ = 0 this is SFT. The loss that it reports is that of the whole objective. Two forward and four backward passes:
 * the gradient of a gradient is one forward and three backward passes.
 * Source: git-disl/Booster, class `UnitedAlignmentTrainer` (no paper); docs/methods/united-alignment.md.
 */
export const unitedAlignment = method({
  name: "united-alignment",
  label: "United alignment",
  stage: "align",
  streams: ["alignment", "harmful"],
  options,
  limit: { rho: 0 },
  tried: [{ rho: 0.1 }, { rho: 1 }, { rho: 10 }, { rho: 100 }],
  create: ({ rho }) => ({
    passes: { forward: 2, backward: 4 },
    step({ weights, loss }) {
      const align = valueAndGrad((w) => loss(w, "alignment"))(weights);
      const distance = valueAndGrad((w) => {
        const gu = grad((v) => ops.neg(ops.log(loss(v, "harmful"))))(w);
        return squaredDistance(gu, align.grad);
      })(weights);
      return {
        gradient: tree.add(align.grad, tree.scale(distance.grad, rho)),
        metrics: {
          loss: ops.add(align.value, ops.mul(distance.value, rho)),
          alignmentLoss: align.value,
          harmfulLoss: loss(weights, "harmful"),
          gradientDistance: distance.value,
        },
      };
    },
  }),
});
