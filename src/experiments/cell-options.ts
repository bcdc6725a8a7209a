import { existsSync } from "node:fs";
import { choose, type Named } from "../choice.ts";
import { BoosterError } from "../errors.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { checkTuned } from "../methods/method.ts";
import { METHODS } from "../methods/registry.ts";
import { determining } from "../stages/describe-run.ts";
import { metricOf } from "../stages/evaluate.ts";
import { parseOptions } from "../stages/options.ts";
import { checkFiles } from "../stages/sources.ts";
import { checkFactors, checkStart } from "../stages/training-run.ts";
import { checkHarmful } from "../stages/upload.ts";
import { ExperimentOptions, type MethodEntry } from "./options.ts";
import { defenderData, type Pipeline, pipelineName, pipelineOf } from "./pipeline.ts";
import { strengthLabel } from "./strengths.ts";

type Attack = ExperimentOptions["attack"];

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
  given: { readonly alignment?: Attack["alignment"]; readonly harmful?: Attack["harmful"] },
) {
  const { alignment = align.alignment, harmful = align.harmful } = given;
  if (needs.includes("harmful") && harmful === undefined) throw dataMissing(name, "align.harmful");
  return {
    ...(needs.includes("alignment") ? { alignment } : {}),
    ...(needs.includes("harmful") && harmful !== undefined ? { harmful } : {}),
  };
}

const dataMissing = (name: string, option: string) =>
  new BoosterError("DATA_MISSING", `the method ${name} needs data that was not given`, {
    expected: `a source for ${option}`,
    found: "nothing",
    where: option,
  });

/**
 * Makes the options of all cells once, so that what does not fit is told before hours of work.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT`, `DATA_MISSING`, `DATA_NOT_FOUND`, `FILE_NOT_FOUND`, `TASK_METRIC_MISSING`, and the codes of
 * unknown names and wrong settings
 */
export function checkCells(options: ExperimentOptions): void {
  const { methods, strengths, seeds, evaluate, repair } = options;
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
  for (const model of [options.model, repair.unaligned, repair.safety]) {
    if (model === undefined || existsSync(model)) continue;
    throw new BoosterError("FILE_NOT_FOUND", "there is no model here", { where: model });
  }
  for (const seed of seeds) {
    for (const entry of methods) checkMethod(options, entry, seed);
    checkStage(forSeed(evaluate, seed));
  }
}

/** Unknown names, wrong settings and missing files in the options of a stage. */
function checkStage(options: object): void {
  determining({ ...options });
  checkFiles(options);
}

function checkMethod(options: ExperimentOptions, entry: MethodEntry, seed: number): void {
  const pipeline = pipelineOf(entry.method);
  const { alignmentTransforms, repairs } = pipeline;
  const name = entry.id ?? pipelineName(entry.method);
  const alignment = alignOptionsOf(options, entry, pipeline, seed);
  const rebuilt = alignment.tune === "full";
  checkStage(alignment);
  checkTuned(choose(METHODS, alignment.method), alignment.tune);
  checkStart(alignment, false);
  if (rebuilt && alignmentTransforms.length > 0) throw nothingToRepair(name);
  for (const [strength, { loraRank }] of options.strengths.entries()) {
    const attack = attackOptionsOf(options, pipeline, strength, seed);
    const continued = attack.adapterPolicy === "continue" && !rebuilt;
    checkStage(attack);
    checkTuned(choose(METHODS, attack.method), attack.tune);
    // An alignment of all weights leaves a folder and no adapter, whatever the model was.
    if (!rebuilt) checkStart(attack, continued);
    if (continued) {
      checkFactors(attack, alignment);
      checkFactors(loraRank === undefined ? {} : { loraRank }, alignment, {});
    }
    checkHarmful(attack, choose(ATTACKS, attack.attack), "attack.harmful");
    if (attack.tune === "full" && repairs.length > 0) throw nothingToRepair(name);
  }
  for (const method of [...alignmentTransforms, ...repairs]) {
    checkStage(repairOptionsOf(options, method, "merge-and-fresh", seed));
  }
}

function checkDistinct(where: string, names: readonly (string | number)[], hint: string): void {
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return;
  throw new BoosterError("OPTIONS_CONFLICT", "two of these are the same", { found: String(twice), where, hint });
}

const nothingToRepair = (where: string) =>
  new BoosterError("OPTIONS_CONFLICT", "training all weights leaves no adapter that could be repaired", {
    where,
    hint: "Train with tune: lora, or leave the repairs to an experiment of their own.",
  });

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
    if (chosen[stream as "harmful"] === undefined) throw dataMissing(alignment.name, `align.${stream}`);
  }
  return forSeed({ ...chosen, method: alignment, seed }, seed);
}

/** The common attack options with what a strength has for itself. */
export function strengthOptionsOf({ attack, strengths }: ExperimentOptions, strength: number): Attack {
  const { label: _, ...own } = strengths[strength] ?? {};
  return parseOptions(ExperimentOptions.shape.attack, { ...attack, ...own }, "attack");
}

/** How a cell is attacked; a fine-tuning defence finds the alignment's data as its own, where nothing else is given. */
export function attackOptionsOf(options: ExperimentOptions, { fineTuning }: Pipeline, strength: number, seed: number) {
  const given = strengthOptionsOf(options, strength);
  const method = fineTuning ?? given.method;
  const { alignment, harmful } = defenderSources(
    options,
    { name: method.name, needs: defenderData(method, false) },
    {
      alignment: given.alignment,
      harmful: given.defenderHarmful,
    },
  );
  return forSeed(
    {
      ...given,
      method,
      ...(alignment === undefined ? {} : { alignment }),
      ...(harmful === undefined ? {} : { defenderHarmful: harmful }),
      ...(alignment === undefined && harmful === undefined
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
  method: Named,
  adapterPolicy: Attack["adapterPolicy"],
  seed: number,
) {
  const { template, maxTokens, tooLong, unusable, avoid } = options.align;
  const { unaligned, safety } = options.repair;
  const data = defenderSources(options, { name: method.name, needs: defenderData(method, true) }, options.repair);
  return forSeed(
    { method, adapterPolicy, ...data, template, maxTokens, tooLong, unusable, avoid, unaligned, safety, seed },
    seed,
  );
}
