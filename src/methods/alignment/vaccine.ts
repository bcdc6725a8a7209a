import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { flooredNorm } from "../distance.ts";
import { gradientAtOutputs } from "../hidden.ts";
import { method, type StepContext, type StepDirection } from "../method.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(2).describe("length of the perturbation of the hidden states (the paper's ρ)"),
});

/**
 * Vaccine: `minimise max over ‖(e_1..e_L)‖ <= ρ of f(w; attention outputs + e)`, f the loss on refusals.
 *
 *     u_l = ∂f(w) / ∂(attention output of layer l)      first pass
 *     e_l = ρ u_l / sqrt(Σ_l ‖u_l‖²)                    one norm over layers, rows and tokens
 *     G   = ∇f(w; attention outputs + e)                second pass, e constant
 *
 * The attention output is that of the whole half, after its output projection and before it is added to the stream. With ρ = 0 this
 * is SFT. Two forward and two backward passes.
 * Source: Huang, Hu, Liu, arXiv 2402.01109, Algorithm 1; docs/methods/vaccine.md compares it with the authors' code.
 */
export const vaccine = method({
  name: "vaccine",
  label: "Vaccine",
  stage: "align",
  streams: ["alignment"],
  options,
  limit: { rho: 0 },
  tried: [{ rho: 0.5 }, { rho: 2 }, { rho: 5 }, { rho: 20 }],
  create: ({ rho }) => ({
    passes: { forward: 2, backward: 2 },
    step: (context) => vaccinate(context, rho),
  }),
});

/**
 * The gradient under the worst perturbation of length ρ of the attention outputs of the layers that `among` keeps (0 or 1
 * for each layer; all by default).
 */
export function vaccinate(
  { weights, loss }: Pick<StepContext, "weights" | "loss">,
  rho: number,
  among?: (layer: number) => Tensor,
): StepDirection {
  const { value: cleanLoss, gradient } = gradientAtOutputs("attention", (tap) => loss(weights, "alignment", { tap }));
  const u = among === undefined ? gradient : tree.mapTree(gradient, (x, layer) => ops.mul(x, among(Number(layer))));
  const norm = flooredNorm(u);
  const e: Tree = tree.scale(u, ops.div(rho, norm));
  const { value, grad } = valueAndGrad((w) =>
    loss(w, "alignment", {
      tap: (place, layer, x) => (place === "attention" ? ops.add(x, e[layer] as Tensor) : x),
    }),
  )(weights);
  return { gradient: grad, metrics: { loss: value, cleanLoss, hiddenGradientNorm: norm } };
}
