import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { type Model, partOf } from "../../models/index.ts";
import { mapNumbers } from "../../tensor/tensor.ts";
import { flooredNorm } from "../distance.ts";
import { method } from "../method.ts";
import { copy } from "../state.ts";

const { add, globalNorm, scale, sub } = tree;

const options = z.strictObject({
  lambda: z.number().min(0).default(0.001).describe("weight of what the perturbation gains (the paper's λ)"),
  rho: z.number().min(0).default(1).describe("length of the perturbation of the weights (the paper's ρ)"),
  cap: z.number().positive().default(5).describe("harmful loss above which a perturbed model is bad enough"),
  addPerturbation: z.boolean().default(true).describe("publish the weights with the last perturbation added"),
});

/**
 * Panacea: `minimise g(w) - λ max over ‖ε‖ <= ρ of (h(w + ε) - h(w))` and publish w + ε; g the user's loss, h the harmful one.
 *
 *     ε = ρ ∇h(w) / ‖∇h(w)‖                              one norm over all weights, anew in each step
 *     G = ∇g(w) - λ (∇min(h(w + ε), cap) - ∇h(w))        one harmful batch, ε constant
 *     after the last step: w + ε                         ε of that step, from the weights before its update
 *
 * With λ = 0 and nothing added this is SFT. Three forward and three backward passes.
 * Source: Wang et al., arXiv 2501.18100; docs/methods/panacea.md compares it with the authors' code.
 */
export const panacea = method({
  name: "panacea",
  label: "Panacea",
  stage: "finetune",
  streams: ["user", "harmful"],
  options,
  limit: { lambda: 0, addPerturbation: false },
  tried: [
    { lambda: 0.001, rho: 1 },
    { lambda: 0.001, rho: 0.1 },
    { lambda: 0.1, rho: 0.1 },
    { lambda: 1, rho: 0.1 },
  ],
  state: { perturbation: copy("zeros") },
  create: ({ lambda, rho, cap, addPerturbation }) => ({
    passes: { forward: 3, backward: 3 },
    step({ weights, loss, model }) {
      const user = valueAndGrad((w) => loss(w, "user"))(weights);
      const harmful = valueAndGrad((w) => loss(w, "harmful"))(weights);
      const norm = flooredNorm(harmful.grad);
      const epsilon = scale(harmful.grad, ops.div(rho, norm));
      const perturbed = valueAndGrad((w) => ops.minimum(loss(w, "harmful"), cap))(add(weights, epsilon));
      return {
        gradient: sub(user.grad, scale(sub(perturbed.grad, harmful.grad), lambda)),
        state: { perturbation: epsilon },
        metrics: {
          loss: user.value,
          harmfulLoss: harmful.value,
          perturbedHarmfulLoss: perturbed.value,
          ...layerNorms(model, epsilon),
        },
      };
    },
    publish({ weights, state: { perturbation } }) {
      if (!addPerturbation) return weights;
      return mapNumbers(weights, ({ data }, name) => {
        const epsilon = perturbation.get(name)?.data as Float32Array;
        return data.map((x, i) => x + (epsilon[i] as number));
      });
    },
  }),
});

/** Length of the perturbation in each layer: the paper's picture of where safety sits. */
function layerNorms(model: Model, epsilon: Tree): Record<string, Tensor> {
  const layers = new Map<number, Record<string, Tensor>>();
  for (const [name, x] of Object.entries(epsilon)) {
    const { layer } = partOf(model, name);
    if (layer !== undefined) layers.set(layer, { ...layers.get(layer), [name]: x });
  }
  return Object.fromEntries([...layers].map(([layer, part]) => [`perturbationNorm.${layer}`, globalNorm(part)]));
}
