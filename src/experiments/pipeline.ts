import { choose, type Named, rowOf, settingsOf } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { DEFENCES, METHODS, TRANSFORMS } from "../methods/registry.ts";
import type { Stage } from "../methods/row.ts";
import type { AlignOptions, FinetuneOptions, RepairOptions } from "../stages/options.ts";

/** What happens to the model on its way, in this order, with the attack's data coming in at `fineTuning`. */
export interface Pipeline {
  /** Training method of the alignment; `sft` where none was chosen. */
  readonly alignment: AlignOptions["method"];
  readonly alignmentTransforms: readonly RepairOptions["method"][];
  /** Training method of the fine-tuning, where one was chosen. */
  readonly fineTuning: FinetuneOptions["method"] | undefined;
  readonly repairs: readonly RepairOptions["method"][];
}

/** An experiment's method as a list, in the order in which it was written. */
export const stagesOf = (method: Stages): readonly Named[] => [method].flat() as Named[];

/** A method, or a list of methods and transforms. */
type Stages = Named | readonly Named[];

/** The names of its stages, e.g. `vaccine+lisa+antidote`. */
export const pipelineName = (method: Stages, between = "+"): string =>
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
export function pipelineOf(method: Stages): Pipeline {
  const placed = stagesOf(method).map((named) => {
    const { name, ...row } = rowOf(DEFENCES, named.name);
    return { named: { name, ...settingsOf(DEFENCES, named) }, trains: "streams" in row, stage: row.stage };
  });
  const at = (stage: Stage, training: boolean) =>
    placed.filter((entry) => entry.stage === stage && entry.trains === training).map(({ named }) => named);
  const trained = (stage: Stage): Named | undefined => {
    const found = at(stage, true);
    if (found.length <= 1) return found[0];
    throw new BoosterError("OPTIONS_CONFLICT", `a model is trained once in the ${stage} stage`, {
      expected: `one ${stage} method`,
      found: found.map(({ name }) => name).join(", "),
      where: "method",
    });
  };
  // A row's stage says which choice it is.
  return {
    alignment: trained("align") ?? { name: "sft" },
    alignmentTransforms: at("align", false),
    fineTuning: trained("finetune"),
    repairs: at("repair", false),
  } as unknown as Pipeline;
}

/** Settings of all stages: those of a single one under their names, those of several with the stage's name before each. */
export function hyperparametersOf(method: Stages): Readonly<Record<string, unknown>> {
  const stages = stagesOf(method);
  const [only] = stages;
  if (stages.length === 1 && only !== undefined) return settingsOf(DEFENCES, only);
  return Object.fromEntries(
    stages.flatMap((stage) =>
      Object.entries(settingsOf(DEFENCES, stage)).map(([option, value]) => [`${stage.name}.${option}`, value] as const),
    ),
  );
}

/** Whether an entry is a trivial repair alone, which others have to beat. */
export const isBaseline = (method: Stages): boolean =>
  stagesOf(method).every(({ name }) => TRANSFORMS.rows.some((row) => row.name === name && row.baseline));

/** Data that the defender brings along where a stage needs it: its first stream, if it trains, is the user's. */
export function defenderData(method: Named, isTransform: boolean): readonly string[] {
  return isTransform ? choose(TRANSFORMS, method).needs : choose(METHODS, method).streams.slice(1);
}

/**
 * Passes of one step of a training method, on average: 1 is a forward and a backward pass, as plain SFT has.
 *
 * @example
 * passesOf({ name: "booster" }); // 3
 */
export function passesOf(method: Named): number {
  const { forward, backward } = choose(METHODS, method).passes;
  return (forward + backward) / 2;
}
