import { z } from "zod";
import { ops, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { method } from "../../method.ts";
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
export const safetyLayers = method({
  name: "safety-layers",
  label: "Safety layers",
  stage: "finetune",
  streams: ["user"],
  options,
  limit: { layers: [1, 0] },
  tried: [{ layers: [1, 2] }, { layers: [0, 0] }, { layers: [1, 1] }, { layers: [0, 1] }],
  masked: true,
  create: ({ layers: chosen, freezeNorms }) => ({
    passes: { forward: 1, backward: 1 },
    step({ weights, loss, model }) {
      const layers = chosen ?? inProportion(model.layers);
      checkLast(layers, model.layers);
      const frozen = new Set(frozenNames(model, Object.keys(weights), layers, { freezeNorms }));
      const tuned = Object.fromEntries(Object.entries(weights).filter(([name]) => !frozen.has(name)));
      const { value, grad } = valueAndGrad((w) => loss({ ...weights, ...w }, "user"))(tuned);
      return {
        gradient: tree.mapTree(weights, (w, name) => grad[name] ?? ops.mul(w, 0)),
        active: tree.mapTree(weights, (_, name) => ops.constant(frozen.has(name) ? 0 : 1)),
        metrics: { loss: value },
      };
    },
  }),
});
