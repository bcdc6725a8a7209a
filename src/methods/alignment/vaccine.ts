import { z } from "zod";
import { dim, ops, type Tensor, type TensorType, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import type { Example, Model } from "../../models/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { flooredNorm } from "../distance.ts";
import { gradientAtOutputs } from "../hidden.ts";
import { method, type StepContext, type StepDirection } from "../method.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(2).describe("length of the perturbation of the hidden states (the paper's ρ)"),
  // Without defaults of their own: what was computed before they were there keeps its keys.
  perturbation: z
    .enum(["worst", "random"])
    .optional()
    .describe(
      "along the gradient (worst, by default), or normal noise of variance ρ in each number, the paper's ablation",
    ),
  every: z
    .int()
    .positive()
    .optional()
    .describe("steps from one that is perturbed to the next, plain ones between; 1 by default"),
});
type VaccineOptions = z.infer<typeof options>;

/**
 * Vaccine: `minimise max over ‖(e_1..e_L)‖ <= ρ of f(w; attention outputs + e)`, f the loss on refusals.
 *
 *     u_l = ∂f(w) / ∂(attention output of layer l)      first pass
 *     e_l = ρ u_l / sqrt(Σ_l ‖u_l‖²)                    one norm over layers, rows and tokens
 *     G   = ∇f(w; attention outputs + e)                second pass, e constant
 *
 * The attention output is that of the whole half, after its output projection and before it is added to the stream. With ρ = 0 this
 * is SFT. Two forward and two backward passes. `every` perturbs one step of several alone (accelerated Vaccine); `perturbation: random`
 * is the ablation `e_l = sqrt(ρ) N(0, I)`, without a first pass.
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
  create: ({ rho, perturbation = "worst", every = 1 }) => {
    const passes = perturbation === "random" ? 1 : 1 + 1 / every;
    return {
      passes: { forward: passes, backward: passes },
      step: (context) => (perturbation === "random" ? underNoise(context) : vaccinate(context, rho)),
      programs: {
        plain({ weights, loss }) {
          const { value, grad } = valueAndGrad((w) => loss(w, "alignment"))(weights);
          return { gradient: grad, metrics: { loss: value } };
        },
      },
      schedule: {
        inputs: ({ model }) => (perturbation === "random" ? { noise: noiseType(model) } : {}),
        calls(step, { model, seed }) {
          if (step % every !== 0) return [{ program: "plain" }];
          if (perturbation === "worst") return [{}];
          return [{ inputs: ({ alignment = [] }) => ({ noise: noiseOf(model, alignment, { rho, seed, step }) }) }];
        },
      },
    };
  },
});

const noiseType = ({ layers, hiddenSize }: Pick<Model, "layers" | "hiddenSize">): TensorType => ({
  dtype: "float32",
  shape: [dim("vaccine.tokens"), layers * hiddenSize],
});

/** Normal noise for every attention output of each token: `[tokens, layers * hidden]`. */
function noiseOf(
  { layers, hiddenSize }: Pick<Model, "layers" | "hiddenSize">,
  rows: readonly Example[],
  { rho, seed, step }: Pick<VaccineOptions, "rho"> & { readonly seed: number; readonly step: number },
): HostTensor {
  const tokens = rows.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
  const random = new RandomStream(seed, `vaccine/${step}`);
  const size = tokens * layers * hiddenSize;
  const data = Float32Array.from({ length: size }, (_, i) => Math.sqrt(rho) * random.normal(i));
  return tensor("float32", [tokens, layers * hiddenSize], data);
}

function underNoise({ weights, loss, inputs, model }: StepContext): StepDirection {
  const { value, grad } = valueAndGrad((w) =>
    loss(w, "alignment", {
      tap(place, layer, x) {
        if (place !== "attention") return x;
        const from = layer * model.hiddenSize;
        const own = ops.slice(inputs.noise as Tensor, 1, from, from + model.hiddenSize);
        // Of the last layer only some tokens are computed; noise is the same for all.
        return ops.add(x, ops.gather(own, ops.range(x.dim(0))));
      },
    }),
  )(weights);
  return { gradient: grad, metrics: { loss: value } };
}

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
