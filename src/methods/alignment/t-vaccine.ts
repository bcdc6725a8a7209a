import { z } from "zod";
import { ops, type Tensor, tree } from "../../autodiff/index.ts";
import { type Module, partOf, type Role } from "../../models/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { tensor } from "../../tensor/tensor.ts";
import { gradientAtOutputs } from "../hidden.ts";
import { type Call, method, type StepContext } from "../method.ts";
import { memory } from "../state.ts";
import { vaccinate } from "./vaccine.ts";

const options = z.strictObject({
  rho: z.number().min(0).default(3).describe("length of the perturbation of the active layers' hidden states (ρ)"),
  activeLayers: z
    .int()
    .positive()
    .default(8)
    .describe("layers that are perturbed and trained at a time (the paper's S)"),
  drawEvery: z.int().positive().default(20).describe("steps between two draws of the active layers (J)"),
  probeEvery: z.int().positive().default(200).describe("steps between two measurements of the layers (K)"),
  probeRows: z.int().positive().default(1).describe("harmful rows of a measurement"),
  mode: z
    .enum(["paper", "reference"])
    .default("paper")
    .describe("train the active layers alone, or, as the authors' code, also the MLPs from the lowest of them upwards"),
});

const STATE = {
  sensitivity: memory(({ model }) => [model.layers], 1),
  active: memory(({ model }) => [model.layers], 1),
};

/** Below it a layer's share of the sensitivity is as good as none. */
const TINY = 1e-30;
/** In deeper models the authors' code keeps the layer below each active one in the graph too. */
const DEEP = 26;

/**
 * T-Vaccine: Vaccine on a few layers at a time, the ones through which harmful answers are learned more often than others.
 *
 *     every K steps:  s_l = ‖∂h(w) / ∂(attention output of layer l)‖          one harmful row
 *     every J steps:  S layers without replacement, with probabilities s_l / Σ s
 *     every step:     u_l = ∂f(w) / ∂(attention output of layer l)             active layers only
 *                     e_l = ρ u_l / sqrt(Σ_active ‖u_l‖²)
 *                     G   = ∇f(w; attention outputs + e)                       for the weights of active layers
 *
 * Weights that are not active are left out of the step: no decay, no moments, and a step count of their own. With S = the
 * number of layers this is Vaccine. Two forward and two backward passes, and one of each every K steps.
 * Source: Liu et al., arXiv 2410.09760;
 * docs/methods/t-vaccine.md compares it with the authors' code (Lslland/T-Vaccine).
 */
export const tVaccine = method({
  name: "t-vaccine",
  label: "T-Vaccine",
  stage: "align",
  streams: ["alignment", "harmful"],
  options,
  limit: { rho: 0, activeLayers: 2 },
  trial: { activeLayers: 1, drawEvery: 2, probeEvery: 4 },
  tried: [0.5, 2, 5, 20].map((rho) => ({ rho, activeLayers: 2 })),
  masked: true,
  state: STATE,
  create: ({ rho, mode, activeLayers, drawEvery, probeEvery, probeRows }) => ({
    passes: { forward: 2 + 1 / probeEvery, backward: 2 + 1 / probeEvery },
    step(context) {
      const isActive = activeFlags(context);
      const flags =
        mode === "paper" ? (part: Partial<Module>) => isActive(part.layer) : referenceFlags(context, isActive);
      const trained = (name: string) => flags(partOf(context.model, name));
      const { gradient, metrics } = vaccinate(context, rho, isActive);
      const active = tree.mapTree(gradient, (_, name) => trained(name));
      return { gradient: tree.mapTree(gradient, (g, name) => ops.mul(g, trained(name))), active, metrics };
    },
    programs: {
      probe,
      draw: (context) => draw(context, activeLayers),
    },
    schedule: {
      batchSizes: { harmful: probeRows },
      inputs: ({ model: { layers } }) => ({ gumbel: { dtype: "float32", shape: [layers] } }),
      calls(step, { seed, model: { layers }, batch }) {
        const calls: Call[] = [];
        if (step % probeEvery === 0) {
          calls.push({ program: "probe", rows: { harmful: batch("harmful", step / probeEvery) } });
        }
        if (step % drawEvery === 0) {
          const random = new RandomStream(seed, "t-vaccine layers");
          const first = (step / drawEvery) * layers;
          const gumbel = Array.from({ length: layers }, (_, l) => -Math.log(-Math.log(random.uniform(first + l))));
          calls.push({ program: "draw", inputs: () => ({ gumbel: tensor("float32", [layers], gumbel) }) });
        }
        return [...calls, {}];
      },
    },
  }),
});

/** How much each layer's attention output has to do with the harmful loss. */
function probe({ weights, loss, model }: StepContext) {
  const { value, gradient } = gradientAtOutputs("attention", (tap) => loss(weights, "harmful", { tap }));
  const norms = Array.from({ length: model.layers }, (_, l) => {
    const g = gradient[l] as Tensor;
    return ops.reshape(ops.sqrt(ops.sum(ops.mul(g, g))), [1]);
  });
  const sensitivity = ops.concat(norms, 0);
  return { state: { sensitivity }, metrics: { probeLoss: value, probeSensitivity: ops.sum(sensitivity) } };
}

/**
 * Layers without replacement: the S largest of `log p + Gumbel noise`, which has the distribution of drawing one after the
 * other with the probabilities of those that are left.
 */
function draw({ state: { sensitivity }, inputs, model }: StepContext<typeof STATE>, activeLayers: number) {
  const share = ops.div(sensitivity, ops.sum(sensitivity));
  const active = largest(
    ops.add(ops.log(ops.maximum(share, TINY)), inputs.gumbel as Tensor),
    model.layers,
    activeLayers,
  );
  return { state: { active }, metrics: { activeSensitivity: ops.sum(ops.mul(share, active)) } };
}

/** 1 at the `count` largest of `length` numbers, 0 elsewhere: those that fewer than `count` others exceed. */
function largest(keys: Tensor, length: number, count: number): Tensor {
  const [column, row] = [ops.reshape(keys, [length, 1]), ops.reshape(keys, [1, length])];
  const exceeded = ops.sum(ops.cast(ops.less(column, row), "float32"), { axes: [1] });
  return ops.cast(ops.less(exceeded, count), "float32");
}

type Flags = (layer: number | undefined) => Tensor;

/** Whether a layer is active; what belongs to no layer is not. */
function activeFlags({ state: { active }, model }: StepContext<typeof STATE>): Flags {
  const flags = Array.from({ length: model.layers }, (_, l) => ops.reshape(ops.slice(active, 0, l, l + 1), []));
  return (layer = -1) => flags[layer] ?? ops.constant(0, active.dtype);
}

const ATTENTION: readonly (Role | undefined)[] = ["query", "key", "value", "qkv", "output"];

/** As in the authors' code: all but attention is trained from the lowest layer that is not checkpointed upwards. */
function referenceFlags({ model }: StepContext, isActive: Flags): (part: Partial<Module>) => Tensor {
  const reached: Tensor[] = [];
  for (let layer = 0; layer < model.layers; layer++) {
    const deep = model.layers > DEEP && layer + 1 < model.layers;
    const here = deep ? ops.maximum(isActive(layer), isActive(layer + 1)) : isActive(layer);
    reached.push(layer === 0 ? here : ops.maximum(reached[layer - 1] as Tensor, here));
  }
  return ({ role, layer }) =>
    layer === undefined || ATTENTION.includes(role) ? isActive(layer) : (reached[layer] as Tensor);
}
