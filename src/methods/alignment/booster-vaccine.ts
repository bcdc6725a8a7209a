import { z } from "zod";
import { tree } from "../../autodiff/index.ts";
import { method } from "../method.ts";
import { harmfulAttenuation } from "./booster.ts";
import { vaccinate } from "./vaccine.ts";

const options = z.strictObject({
  lambda: z.number().min(0).default(5).describe("weight of the attenuated harmful gain (Booster's λ)"),
  alpha: z.number().min(0).default(0.1).describe("length of the simulated harmful step (Booster's α)"),
  rho: z.number().min(0).default(5).describe("length of the perturbation of the hidden states (Vaccine's ρ)"),
});

/**
 * Vaccine and Booster together: `minimise max over ‖e‖ <= ρ of f(w; e) + λ (h(w) - h(w - α ∇h(w) / ‖∇h(w)‖))`.
 *
 *     g1, g2                            Booster's two harmful gradients, no hidden state perturbed
 *     ga = ∇f(w; e)                     Vaccine's second pass, no weight perturbed
 *     G  = ga + λ (g1 - g2)
 *
 * With λ = 0 this is Vaccine, with ρ = 0 Booster. The loss that it reports is that of Vaccine's second pass.
 * Four forward and four backward passes.
 * Source: git-disl/Booster, `perturb_aware`; docs/methods/booster-vaccine.md.
 */
export const boosterVaccine = method({
  name: "booster-vaccine",
  label: "Booster + Vaccine",
  stage: "align",
  streams: ["alignment", "harmful"],
  options,
  limit: { lambda: 0, rho: 0 },
  tried: [0.5, 2, 5, 20].map((rho) => ({ rho, lambda: 1, alpha: 0.1 })),
  create: ({ rho, ...booster }) => ({
    passes: { forward: 4, backward: 4 },
    step(context) {
      const attenuation = harmfulAttenuation(context, booster);
      const align = vaccinate(context, rho);
      return {
        gradient: tree.add(align.gradient, attenuation.gradient),
        metrics: { ...align.metrics, ...attenuation.metrics },
      };
    },
  }),
});
