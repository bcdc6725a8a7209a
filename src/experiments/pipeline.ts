import { BoosterError, rowNamed } from "../errors.ts";
import { METHODS } from "../methods/registry.ts";
import { configureTransform, TRANSFORMS } from "../methods/transform.ts";
import { methodOf, type Named, settingsOf } from "../stages/named.ts";
import type { MethodEntry } from "./options.ts";

/** What happens to the model on its way, in this order, with the attack's data coming in at `fineTuning`. */
export interface Pipeline {
  /** Training method of the alignment; `sft` where none was chosen. */
  readonly alignment: Named;
  readonly alignmentTransforms: readonly Named[];
  /** Training method of the fine-tuning, where one was chosen. */
  readonly fineTuning: Named | undefined;
  readonly repairs: readonly Named[];
}

/** Every name that a list of stages may hold, with its own settings. */
export const STAGES = [
  ...METHODS.map(({ name, method }) => ({ name, stage: method.stage, trains: true, options: method.options })),
  ...TRANSFORMS.map(({ name, stage, options }) => ({ name, stage, trains: false, options })),
] as const;

/** An experiment's method as a list, in the order in which it was written. */
export const stagesOf = (method: MethodEntry["method"]): readonly Named[] =>
  Array.isArray(method) ? method : [method];

/** The names of its stages, e.g. `vaccine+lisa+antidote`. */
export const pipelineName = (method: MethodEntry["method"], between = "+"): string =>
  stagesOf(method)
    .map(({ name }) => name)
    .join(between);

/**
 * Puts methods in their stages, whatever their order; transforms of one stage keep theirs.
 *
 * @throws {BoosterError} `UNKNOWN_METHOD`, `OPTIONS_CONFLICT` for two training methods of one stage, and the codes of wrong settings
 * @example
 * pipelineOf([{ name: "booster" }, { name: "antidote", denseRatio: 0.1 }]).repairs; // [{ name: "antidote", ... }]
 */
export function pipelineOf(method: MethodEntry["method"]): Pipeline {
  const placed = stagesOf(method).map((named) => ({ named, ...placeOf(named) }));
  const trained = (stage: Stage): Named | undefined => {
    const found = placed.filter((entry) => entry.trains && entry.stage === stage).map(({ named }) => named);
    if (found.length <= 1) return found[0];
    throw new BoosterError("OPTIONS_CONFLICT", `a model is trained once in the ${stage} stage`, {
      expected: `one ${stage} method`,
      found: found.map(({ name }) => name).join(", "),
      where: "method",
    });
  };
  const transforms = (stage: Stage) =>
    placed.filter((entry) => !entry.trains && entry.stage === stage).map(({ named }) => named);
  return {
    alignment: trained("alignment") ?? { name: "sft" },
    alignmentTransforms: transforms("alignment"),
    fineTuning: trained("fine-tuning"),
    repairs: transforms("post-fine-tuning"),
  };
}

type Stage = (typeof STAGES)[number]["stage"];

function placeOf(named: Named): { readonly stage: Stage; readonly trains: boolean } {
  const found = rowNamed(STAGES, named.name, "UNKNOWN_METHOD", "no such method");
  settingsOf(named);
  return found;
}

/** Settings of all stages: those of a single one under their names, those of several with the stage's name before each. */
export function hyperparametersOf(method: MethodEntry["method"]): Readonly<Record<string, unknown>> {
  const stages = stagesOf(method);
  const [only] = stages;
  if (stages.length === 1 && only !== undefined) return settingsOf(only);
  return Object.fromEntries(
    stages.flatMap((stage) =>
      Object.entries(settingsOf(stage)).map(([option, value]) => [`${stage.name}.${option}`, value] as const),
    ),
  );
}

/** Whether an entry is a trivial repair alone, which others have to beat. */
export const isBaseline = (method: MethodEntry["method"]): boolean =>
  stagesOf(method).every(({ name }) => TRANSFORMS.some((row) => row.name === name && row.baseline));

/** Data that the defender brings along where a stage needs it: its first stream, if it trains, is the user's. */
export function defenderData(method: Named, isTransform: boolean): readonly string[] {
  const { name, ...settings } = method;
  return isTransform ? configureTransform(name, settings).needs : methodOf(method).streams.slice(1);
}
