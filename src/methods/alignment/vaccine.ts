import { z } from "zod";
import { ops, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { gradientAtOutputs } from "../hidden.ts";
import type { Method } from "../method.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(2).describe("length of the perturbation of the hidden states (the paper's ρ)"),
});

/** Keeps a perturbation along a vanishing gradient finite, as in the authors' code. */
const NORM_FLOOR = 1e-7;

const isAttention = (module: string): boolean => module.endsWith(".self_attn");

/**
 * Vaccine: `minimise max over ‖(e_1..e_L)‖ <= ρ of f(w; attention outputs + e)`, f the loss on refusals.
 *
 *     u_l = ∂f(w) / ∂(attention output of layer l)      first pass
 *     e_l = ρ u_l / sqrt(Σ_l ‖u_l‖²)                    one norm over layers, rows and tokens
 *     G   = ∇f(w; attention outputs + e)                second pass, e constant
 *
 * The attention output is that of the whole block, after `o_proj` and before it is added to the stream. With ρ = 0 this
 * is SFT. Two forward and two backward passes.
 * Source: Huang, Hu, Liu, arXiv 2402.01109, Algorithm 1; PAPERS.md compares it with the authors' code.
 */
export const vaccine: Method<z.infer<typeof options>> = {
  name: "vaccine",
  stage: "alignment",
  streams: ["alignment"],
  options,
  passes: () => ({ forward: 2, backward: 2 }),
  step({ weights, loss }, { rho }) {
    const u = gradientAtOutputs(isAttention, (tap) => loss(weights, "alignment", { tap }));
    const norm = ops.add(tree.globalNorm(u.gradient), NORM_FLOOR);
    const e: Tree = tree.scale(u.gradient, ops.div(rho, norm));
    const { value, grad } = valueAndGrad((w) =>
      loss(w, "alignment", { tap: (module, x) => (e[module] === undefined ? x : ops.add(x, e[module])) }),
    )(weights);
    return { gradient: grad, metrics: { loss: value, cleanLoss: u.value, hiddenGradientNorm: norm } };
  },
};
