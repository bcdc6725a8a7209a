import { z } from "zod";
import { INNER_STATE } from "../../inner-adamw.ts";
import { copy, memory, scalar } from "../../state.ts";
import { PREFERENCES } from "./losses.ts";

/** Options of `tar`. */
export const options = z.strictObject({
  innerSteps: z.int().min(1).default(64).describe("steps of the adversary before the weights are put back (K)"),
  trajectories: z.int().min(1).default(1).describe("adversaries of one outer step (M)"),
  subsample: z.int().min(1).default(4).describe("inner steps from one evaluation of the tampered weights to the next"),
  lambda: z.number().min(0).default(4).describe("weight of the tamper-resistance gradient (λ_TR)"),
  weighting: z
    .enum(["exponential", "uniform"])
    .default("exponential")
    .describe("late evaluations count more, or all 1/K"),
  scheduleLambda: z.number().min(0).default(0.0625).describe("growth of the weight from one inner step to the next"),
  tamperLoss: z
    .enum(["refusal", "max-entropy", "unlikelihood", "preference"])
    .default("refusal")
    .describe(
      "what has to stay small after tampering: loss on refusals; minus entropy, or -log(1 - p), on harmful rows; DPO",
    ),
  preference: z.enum(PREFERENCES).default("sigmoid").describe("form of the preference loss"),
  preferenceBeta: z.number().positive().default(0.1).describe("strength of the preference loss (β of DPO)"),
  adversaryRates: z
    .array(z.number().positive())
    .min(1)
    .default([2e-6, 2e-5, 4e-5])
    .describe("learning rates of which each adversary draws one"),
  switchShare: z.number().min(0).max(1).default(0.5).describe("share of adversaries that begin on harmless rows"),
  retain: z
    .enum(["alignment", "general"])
    .default("alignment")
    .describe("rows whose loss is kept: refusals, or, as in the authors' code, harmless rows"),
  representations: z
    .boolean()
    .default(true)
    .describe("hold the hidden states on retain rows to those of the first weights"),
  retainNorm: z.enum(["l2", "l2-squared"]).default("l2").describe("how their distance is measured"),
  bound: z
    .number()
    .nullable()
    .default(null)
    .describe("leave the tamper gradient out where the scaled tamper losses of a step sum to less; null: never"),
  mappingSteps: z.int().min(0).default(0).describe("steps of random mapping before the first outer step"),
});
export type TarOptions = z.infer<typeof options>;

/** What of an adversary and the buffer lives from call to call. */
export const stateOf = ({ representations, tamperLoss, mappingSteps }: TarOptions) => ({
  snapshot: copy("weights"),
  buffer: copy("zeros"),
  tamper: scalar(),
  ...INNER_STATE,
  ...(representations || tamperLoss === "preference" ? { reference: copy("weights") } : {}),
  ...(mappingSteps > 0 ? { randomVectors: memory(({ model }) => [model.vocabSize, model.hiddenSize]) } : {}),
});
export type TarState = ReturnType<typeof stateOf>;
