import { choose } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { checkTuned } from "../methods/method.ts";
import { METHODS, TRANSFORMS } from "../methods/registry.ts";
import { checkOwnFactors } from "../methods/transform.ts";
import { metricOf } from "../stages/evaluate.ts";
import { type AlignOptions, parseOptions, type RepairOptions } from "../stages/options.ts";
import { optionOf } from "../stages/pairs.ts";
import { checkFactors, checkStart } from "../stages/starting-weights.ts";
import { dataMissing } from "../stages/streams.ts";
import { checkHarmful } from "../stages/upload.ts";
import { Attack, ExperimentOptions, type MethodEntry, type SparseAttack } from "./options.ts";
import { defenderData, type Pipeline, pipelineName } from "./pipeline.ts";
import { checkSearch } from "./search/check.ts";
import { strengthLabel } from "./strengths.ts";

/** A method's short name. */
export const idOf = ({ methods }: ExperimentOptions, index: number): string => {
  const entry = methods[index];
  return entry === undefined ? "" : (entry.id ?? pipelineName(entry.method));
};

/** Options with the cell's seed in the place of `{seed}`. */
export const forSeed = <T>(options: T, seed: number): T =>
  JSON.parse(JSON.stringify(options).replaceAll("{seed}", String(seed))) as T;

/** The defender's data among what a stage needs: given for it, or else that of the alignment. */
function defenderSources(
  { align }: ExperimentOptions,
  { name, needs }: { readonly name: string; readonly needs: readonly string[] },
  given: Partial<Pick<Attack, "alignment" | "harmful" | "general">>,
) {
  const { alignment = align.alignment, harmful = align.harmful, general = align.general } = given;
  if (needs.includes("harmful") && harmful === undefined) throw dataMissing(name, "align.harmful");
  if (needs.includes("general") && general === undefined) throw dataMissing(name, "align.general");
  return {
    ...(needs.includes("alignment") ? { alignment } : {}),
    ...(needs.includes("harmful") && harmful !== undefined ? { harmful } : {}),
    ...(needs.includes("general") && general !== undefined ? { general } : {}),
  };
}

/**
 * What can be told of an experiment before its cells are planned.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`, `TASK_METRIC_MISSING`
 */
export function checkExperiment(options: ExperimentOptions): void {
  const { methods, strengths, seeds, evaluate } = options;
  checkDistinct(
    "methods",
    methods.map((_, index) => idOf(options, index)),
    "Give each an id of its own.",
  );
  checkDistinct(
    "strengths",
    strengths.map((_, index) => strengthLabel(options, index)),
    "Give each a label of its own.",
  );
  checkDistinct("seeds", seeds, "Give each seed once.");
  metricOf(evaluate);
  checkSearch(options);
}

/**
 * Whether a cell's alignment and attack go together.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`, `DATA_MISSING`
 */
export function checkCell(
  options: ExperimentOptions,
  entry: MethodEntry,
  pipeline: Pipeline,
  alignment: ExperimentOptions["align"] & { readonly method: AlignOptions["method"] },
  attack: Attack,
  strength: number,
): void {
  const { alignmentTransforms, repairs } = pipeline;
  const rebuilt = alignment.tune === "full";
  const continued = attack.adapterPolicy === "continue" && !rebuilt;
  checkTuned(choose(METHODS, alignment.method), alignment.tune);
  checkTuned(choose(METHODS, attack.method), attack.tune);
  checkStart(alignment, false);
  // An alignment of all weights leaves a folder and no adapter, whatever the model was.
  if (!rebuilt) checkStart(attack, continued);
  if (continued) {
    const { loraRank, targetModules, ...asked } = layered([
      options.attack,
      entry.attack,
      options.strengths[strength] ?? {},
    ]);
    const scaled = asked.loraAlpha !== undefined || asked.loraScale !== undefined;
    checkFactors({ loraRank, targetModules, loraAlpha: scaled ? attack.loraAlpha : undefined }, alignment, {});
  }
  const [first] = repairs;
  if (first !== undefined) checkOwnFactors(choose(TRANSFORMS, first), continued);
  checkHarmful(attack, choose(ATTACKS, attack.attack), "attack.harmful");
  if ((rebuilt && alignmentTransforms.length > 0) || (attack.tune === "full" && repairs.length > 0)) {
    throw new BoosterError("OPTIONS_CONFLICT", "training all weights leaves no adapter that could be repaired", {
      where: `${pipeline.alignment.name}, ${attack.method.name}`,
      hint: "Train with tune: lora, or leave the repairs to an experiment of their own.",
    });
  }
}

function checkDistinct(where: string, names: readonly (string | number)[], hint: string): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new BoosterError("OPTIONS_CONFLICT", "two of these are the same", { found: String(twice), where, hint });
}

/**
 * How a cell is aligned.
 *
 * @throws {BoosterError} `OPTIONS_INVALID` where the method's own alignment options are none, `DATA_MISSING`
 */
export function alignOptionsOf(
  options: ExperimentOptions,
  { method, align }: MethodEntry,
  { alignment }: Pipeline,
  seed: number,
) {
  const own = { ...options.align, ...align };
  const chosen = parseOptions(ExperimentOptions.shape.align, own, `align of ${pipelineName(method)}`);
  for (const stream of choose(METHODS, alignment).streams) {
    const option = optionOf(stream);
    if (chosen[option as "harmful"] === undefined) throw dataMissing(alignment.name, `align.${option}`);
  }
  return forSeed({ ...chosen, method: alignment, seed }, seed);
}

/** What an attack is told, the later layer before the earlier one; a scale and an alpha of LoRA stand for each other. */
function layered(layers: readonly Partial<SparseAttack>[]): Partial<SparseAttack> {
  return layers.reduce((below, { label: _, ...layer }: Partial<SparseAttack> & { readonly label?: string }) => {
    const { loraAlpha, loraScale, ...rest } = below;
    if (layer.loraAlpha !== undefined && layer.loraScale !== undefined) {
      throw new BoosterError("OPTIONS_CONFLICT", "LoRA's scale is given twice", {
        expected: "loraAlpha or loraScale",
        found: `both, ${layer.loraAlpha} and ${layer.loraScale}`,
        where: "loraScale",
      });
    }
    const replaced = layer.loraAlpha !== undefined || layer.loraScale !== undefined;
    return { ...(replaced ? rest : below), ...layer };
  }, {});
}

/**
 * The attack of a cell, complete: the common options, those of the method for itself, and those of the strength.
 *
 * @throws {BoosterError} `OPTIONS_CONFLICT`
 */
export function attackOf({ attack, strengths }: ExperimentOptions, strength?: number, own: SparseAttack = {}): Attack {
  const { search: _, ...common } = attack;
  const { loraScale, ...given } = layered([common, own, strengths[strength ?? -1] ?? {}]);
  const complete = parseOptions(Attack, given, "attack");
  return loraScale === undefined ? complete : { ...complete, loraAlpha: loraScale * complete.loraRank };
}

/** How a cell is attacked; a fine-tuning defence finds the alignment's data as its own, where nothing else is given. */
export function attackOptionsOf(
  options: ExperimentOptions,
  entry: MethodEntry,
  { fineTuning }: Pipeline,
  strength: number,
  seed: number,
) {
  const given = attackOf(options, strength, entry.attack);
  const method = fineTuning ?? given.method;
  const { alignment, harmful, general } = defenderSources(
    options,
    { name: method.name, needs: defenderData(method, false) },
    {
      alignment: given.alignment,
      harmful: given.defenderHarmful,
      general: given.general,
    },
  );
  return forSeed(
    {
      ...given,
      method,
      ...(alignment === undefined ? {} : { alignment }),
      ...(harmful === undefined ? {} : { defenderHarmful: harmful }),
      ...(general === undefined ? {} : { general }),
      ...(alignment === undefined && harmful === undefined && general === undefined
        ? {}
        : { defenderAvoid: given.defenderAvoid ?? options.align.avoid }),
      seed,
    },
    seed,
  );
}

/** How an adapter of a cell is repaired: data as in the alignment, where the repairs are given none of their own. */
export function repairOptionsOf(
  options: ExperimentOptions,
  method: RepairOptions["method"],
  adapterPolicy: Attack["adapterPolicy"],
  seed: number,
) {
  const { base, template, maxTokens, tooLong, unusable, avoid } = options.align;
  const { unaligned, safety } = options.repair;
  const data = defenderSources(options, { name: method.name, needs: defenderData(method, true) }, options.repair);
  return forSeed(
    { base, method, adapterPolicy, ...data, template, maxTokens, tooLong, unusable, avoid, unaligned, safety, seed },
    seed,
  );
}
