import type { z } from "zod";
import { ops, type Tensor, tree, valueAndGrad } from "../../../autodiff/index.ts";
import type { Model } from "../../../models/index.ts";
import { type HostTensor, zeros } from "../../../tensor/tensor.ts";
import { method } from "../../method.ts";
import { memories } from "../../state.ts";
import { total } from "../../sums.ts";
import { detectNeurons, options } from "./detect.ts";
import { neuronModules } from "./scorer.ts";

/** Neurons are rows, and columns of the down projection. */
function maskShape(model: Model, module: string): readonly [number, number] {
  const [out, inputs] = model.linears.get(module) as readonly [number, number];
  return model.modules.get(module)?.role === "down" ? [1, inputs] : [out, 1];
}

/**
 * Tuning on refusals of the safety neurons alone: rows of W_q, W_k, W_v and W_up and columns of W_down that are important for
 * every harmful prompt.
 *
 *     S = {k: I_k(c) >= ε for every harmful prompt c}        I_k: L2 change of the output when neuron k is zeroed
 *     T = S (SN-Tune), S without the neurons important for every general text (RSN-Tune)
 *     G = ∇f(w) on T, nothing elsewhere                      no decay and no moments either
 *
 * All weights are trainable (`tune: full`): LoRA factors cannot single out rows and columns of a matrix together. One forward and one
 * backward pass; before the first step one forward pass a query, with a softmax for each dimension of each head.
 * Source: Zhao et al., "Understanding and Enhancing Safety Mechanisms of LLMs via Safety-Specific Neuron", ICLR 2025;
 * docs/methods/sn-tune.md compares it with the authors' code.
 */
const neuronTuning = <const Name extends string>(
  name: Name,
  label: string,
  foundation: boolean,
  trial: z.input<typeof options>,
) =>
  method({
    name,
    label,
    stage: "align",
    streams: foundation ? ["alignment", "harmful", "general"] : ["alignment", "harmful"],
    options,
    trial,
    tried: [1e-4, 3e-4, 1e-3, 2e-3].map((learningRate) => ({
      select: "top" as const,
      topAttention: 64,
      topFeedForward: 160,
      queries: 100,
      align: { tune: "full", learningRate },
    })),
    masked: true,
    trains: "full",
    state: {
      mask: memories(({ model }) =>
        Object.fromEntries(neuronModules(model).map((module) => [module, maskShape(model, module)])),
      ),
    },
    create: (chosen) => ({
      passes: { forward: 1, backward: 1 },
      async prepare(preparation) {
        const masks: Record<string, HostTensor<"float32">> = {};
        for (const [module, places] of await detectNeurons(preparation, chosen, foundation)) {
          const mask = zeros("float32", maskShape(preparation.model, module));
          for (const place of places) mask.data[place] = 1;
          masks[module] = mask;
        }
        return { state: { mask: masks } };
      },
      step({ weights, loss, state }) {
        const { clipBeforeMask } = chosen;
        const masks = Object.fromEntries(
          Object.entries(state.mask).map(([module, mask]) => [`${module}.weight`, mask]),
        );
        const tuned = Object.fromEntries(
          Object.entries(weights).filter(([weight]) => clipBeforeMask || weight in masks),
        );
        const { value, grad } = valueAndGrad((w) => loss({ ...weights, ...w }, "alignment"))(tuned);
        const masked = (weight: string): Tensor => masks[weight] ?? ops.constant(0);
        const neurons = total(Object.values(masks).map((mask) => ops.sum(mask)));
        return {
          gradient: clipBeforeMask
            ? grad
            : tree.mapTree(weights, (w, weight) => ops.mul(grad[weight] ?? w, masked(weight))),
          active: tree.mapTree(weights, (_, weight) => masked(weight)),
          metrics: { loss: value, neurons },
        };
      },
    }),
  });

/** SN-Tune: the safety neurons. */
export const snTune = neuronTuning("sn-tune", "SN-Tune", false, { epsilon: 0.1 });

/** RSN-Tune: the safety neurons that are no foundation neurons, so that a user's honest tuning leaves them. */
export const rsnTune = neuronTuning("rsn-tune", "RSN-Tune", true, {
  select: "top",
  topAttention: 3,
  topFeedForward: 8,
});
