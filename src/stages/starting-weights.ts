import { BoosterError } from "../errors.ts";
import type { Adapter } from "../formats/peft.ts";
import { freshLora, type LoadedModel, type NamedWeights } from "../models/load.ts";
import { ALL_LINEAR, targetsOf } from "../models/modules.ts";
import { type BaseChoice, TrainingOptions } from "./options.ts";
import type { StartingPoint } from "./workbench.ts";

/** The LoRA factors that a run begins with where it has none. */
export function newAdapter({ model }: LoadedModel, training: TrainingOptions): Adapter {
  const { loraRank: r, loraAlpha: alpha, seed } = training;
  const targetModules = targetsOf(model, training.targetModules);
  const config = { r, alpha, targetModules, useRslora: false, dropout: 0, baseModel: undefined };
  return { config, tensors: freshLora(model, config, seed) };
}

/** What is trained: an adapter that is there, fresh LoRA factors, or all weights. */
export function initial(
  { base, lora }: StartingPoint,
  training: TrainingOptions & BaseChoice,
): Partial<Pick<Adapter, "config">> & { tensors: NamedWeights } {
  checkStart(training, lora !== undefined);
  if (lora !== undefined) {
    checkScale(lora.config);
    const { targetModules } = training;
    const asked = targetModules.includes(ALL_LINEAR) ? targetsOf(base.model, targetModules) : targetModules;
    checkFactors({ ...training, targetModules: [...asked] }, factorsOf(lora.config));
  }
  if (training.tune === "lora") return lora ?? newAdapter(base, training);
  return { tensors: new Map([...base.model.weights.keys()].map((name) => [name, base.load(name)])) };
}

/** @throws {BoosterError} `OPTIONS_CONFLICT` where a model, or what stands on it, cannot be trained in this way */
export function checkStart({ tune, base }: Pick<TrainingOptions, "tune"> & BaseChoice, continued: boolean): void {
  if (tune === "full" && base !== undefined && base !== "float32") {
    throw new BoosterError("OPTIONS_CONFLICT", "weights that are trained are float32", {
      expected: "tune lora, or base float32",
      found: `base ${base}`,
      where: "base",
    });
  }
  if (tune === "lora" || !continued) return;
  throw new BoosterError("OPTIONS_CONFLICT", "all weights cannot be trained under an adapter that stays apart", {
    where: "adapterPolicy",
    hint: "Merge the adapter: adapterPolicy merge-and-fresh.",
  });
}

/** @throws {BoosterError} `OPTIONS_CONFLICT` for factors that are no longer those that an optimiser had */
function checkScale({ ownScales }: Adapter["config"]): void {
  if (ownScales !== true) return;
  throw new BoosterError("OPTIONS_CONFLICT", "modules with scales of their own cannot be trained on", {
    expected: "one scale, alpha / r, for all modules",
    found: "others in rank_pattern or alpha_pattern",
    where: "adapterPolicy",
    hint: "Merge the adapter: adapterPolicy merge-and-fresh.",
  });
}

/** What says how many factors there are, and where. */
export type Factors = Pick<TrainingOptions, "loraRank" | "loraAlpha" | "targetModules">;

const factorsOf = ({ r, alpha, targetModules }: Adapter["config"]): Factors => ({
  loraRank: r,
  loraAlpha: alpha,
  targetModules: [...targetModules],
});

const DEFAULTS = TrainingOptions.parse({});

/**
 * Whether factors that are trained on are such as were asked for. A default asks for nothing.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`
 */
export function checkFactors(
  asked: { readonly [Option in keyof Factors]?: Factors[Option] | undefined },
  there: Factors,
  byDefault: Partial<Factors> = DEFAULTS,
): void {
  const textOf = (value: unknown) => JSON.stringify(Array.isArray(value) ? value.toSorted() : value);
  for (const option of ["loraRank", "loraAlpha", "targetModules"] as const) {
    const wanted = textOf(asked[option] ?? there[option]);
    if ([there, byDefault].some((factors) => textOf(factors[option]) === wanted)) continue;
    throw new BoosterError("OPTIONS_CONFLICT", "an adapter that is continued keeps its factors", {
      expected: `${option} ${textOf(there[option])}`,
      found: wanted,
      where: option,
      hint: "Leave the option out, or train a new adapter: adapterPolicy merge-and-fresh.",
    });
  }
}
