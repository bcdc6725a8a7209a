import { z } from "zod";
import { TemplateOptions } from "../../data/options.ts";
import { Count, DeviceChoice, ModelChoice, Source } from "../options.ts";
import type { Context } from "../workbench.ts";
import { openToLook, resolved } from "./questions.ts";
import { findSafetyLayers, type SafetyLayersFound } from "./safety-layers.ts";

const layer = z.int().min(0);

/** An aligned model, and prompts by which its safety layers are found. */
export const SafetyLayersOptions = z.strictObject({
  ...ModelChoice.shape,
  harmful: Source.describe("Harmful prompts"),
  harmless: Source.describe("Harmless prompts"),
  overRefusal: Source.describe("Harmless prompts that sound harmful: how many are refused is what the search looks at"),
  rows: Count.default(100).describe("Prompts of each kind that are used"),
  pairs: Count.default(500).describe("Random pairs of each kind of which cosines are taken"),
  factor: z.number().positive().default(1.15).describe("What the matrices of a range of layers are multiplied by"),
  initial: z.tuple([layer, layer]).optional().describe("Where the search begins; by default where the curve says"),
  scaleOProj: z
    .boolean()
    .default(true)
    .describe("Multiply attention's output matrix too; the paper's table was made without"),
  seed: z.int().nonnegative().default(42).describe("Seed of the pairs"),
  maxNewTokens: Count.default(16).describe("Longest answer, in tokens"),
  batchSize: Count.default(16).describe("Prompts that are answered at once"),
  ...TemplateOptions.pick({ template: true }).shape,
  ...DeviceChoice.shape,
});

/**
 * Finds the safety layers of a model: what it finds is `layers` of the method `safety-layers`.
 *
 * Source: Li et al., arXiv 2408.17003, section 3.
 *
 * @throws {BoosterError} `LAYER_RANGE_INVALID`, `SAFETY_LAYERS_NOT_FOUND`, and what opening, loading and generating throw
 * @example
 * const { range } = await locateSafetyLayers({ model: "runs/hard", harmful: "h.jsonl", harmless: "g.jsonl", overRefusal: "o.jsonl" });
 */
export async function locateSafetyLayers(
  options: z.input<typeof SafetyLayersOptions>,
  context: Context = {},
): Promise<SafetyLayersFound> {
  const chosen = await resolved(SafetyLayersOptions, options, "safety-layers", context);
  const { base, questions } = await openToLook(chosen, context);
  const { initial, rows } = chosen;
  return findSafetyLayers({
    base,
    normal: await questions("harmless", chosen.harmless, rows),
    malicious: await questions("harmful", chosen.harmful, rows),
    overRejection: await questions("overRefusal", chosen.overRefusal, rows),
    factor: chosen.factor,
    pairs: chosen.pairs,
    seed: chosen.seed,
    scaleOProj: chosen.scaleOProj,
    maxNewTokens: chosen.maxNewTokens,
    batchSize: chosen.batchSize,
    ...(initial && { initial }),
    onTried: ([first, last], refusals) =>
      context.emit?.({ type: "work", text: `layers ${first} to ${last} scaled: ${refusals} refused` }),
  });
}
