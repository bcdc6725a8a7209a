import { z } from "zod";
import { ops, type Tree, valueAndGrad } from "../../../autodiff/index.ts";
import type { Method, StepContext } from "../../method.ts";
import { checkLast, frozenNames, type LayerRange } from "./layers.ts";

const layer = z.int().min(0);

const options = z.strictObject({
  layers: z
    .tuple([layer, layer])
    .optional()
    .describe(
      "first and last frozen layer, counted from 0, both included, as `findSafetyLayers` finds them; none where the last is before the first; without it the share of the depth that was found for Llama-2, layers 6 to 14 of 32",
    ),
  freezeNorms: z
    .boolean()
    .default(true)
    .describe("freeze the layers' norms too; the authors' code freezes attention and feed-forward parts alone"),
});
type SafetyLayersOptions = z.infer<typeof options>;

/** Llama-2-7b-chat's safety layers, and its depth. */
const KNOWN = { first: 6, last: 14, layers: 32 };

/** In the same place of a model of another depth. */
const inProportion = (layers: number): LayerRange => [
  Math.floor((KNOWN.first * layers) / KNOWN.layers),
  Math.floor((KNOWN.last * layers) / KNOWN.layers),
];

/**
 * SPPFT: fine-tuning with the safety layers frozen, a block of middle layers that tells malicious from normal queries.
 *
 *     G = ∇f(w) for weights outside the layers, no gradient, decay or moment within
 *
 * LoRA factors on frozen layers stay as they are, which for fresh ones means that these layers have none. One forward pass, and a
 * backward pass without the frozen layers' weights.
 * Source: Li et al., arXiv 2408.17003, section 4; docs/methods/safety-layers.md compares it with the authors' code.
 *
 * @throws {BoosterError} `LAYER_RANGE_INVALID` when the model has not these layers
 */
export const safetyLayers: Method<SafetyLayersOptions> = {
  name: "safety-layers",
  stage: "fine-tuning",
  streams: ["user"],
  options,
  masked: true,
  step: ({ weights, loss, model }: StepContext, { layers = inProportion(model.layers), freezeNorms }) => {
    checkLast(layers, model.layers);
    const frozen = new Set(frozenNames(Object.keys(weights), layers, { freezeNorms }));
    const tuned = Object.fromEntries(Object.entries(weights).filter(([name]) => !frozen.has(name)));
    const { value, grad } = valueAndGrad((w) => loss({ ...weights, ...w }, "user"))(tuned);
    const each = (of: (name: string) => Tree[string]) =>
      Object.fromEntries(Object.keys(weights).map((name) => [name, of(name)]));
    return {
      gradient: each((name) => grad[name] ?? ops.mul(weights[name] as Tree[string], 0)),
      active: each((name) => ops.constant(frozen.has(name) ? 0 : 1)),
      metrics: { loss: value },
    };
  },
  passes: () => ({ forward: 1, backward: 1 }),
};
