import { BoosterError } from "../errors.ts";
import { configureMethod } from "../methods/registry.ts";
import { ExperimentOptions, type MethodEntry, parseOptions } from "./options.ts";
import { defenderData, type Named, type Pipeline, pipelineName, pipelineOf } from "./pipeline.ts";

type Attack = ExperimentOptions["attack"];

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
 * @throws {BoosterError} `OPTIONS_INVALID`, `OPTIONS_CONFLICT`, `DATA_MISSING`
 */
export function checkCells(options: ExperimentOptions): void {
  const [seed = 0] = options.seeds;
  for (const entry of options.methods) {
    const pipeline = pipelineOf(entry.method);
    const { alignmentTransforms, repairs } = pipeline;
    const name = entry.id ?? pipelineName(entry.method);
    const alignment = alignOptionsOf(options, entry, pipeline, seed);
    if (alignment.tune === "full" && alignmentTransforms.length > 0) throw nothingToRepair(name);
    for (const strength of options.strengths.keys()) {
      const { tune } = attackOptionsOf(options, pipeline, strength, seed);
      if (tune === "full" && repairs.length > 0) throw nothingToRepair(name);
    }
    for (const method of [...alignmentTransforms, ...repairs]) {
      repairOptionsOf(options, method, "merge-and-fresh", seed);
    }
  }
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
  const { name, ...settings } = alignment;
  for (const stream of configureMethod(name, settings).streams) {
    if (chosen[stream as "harmful"] === undefined) throw dataMissing(name, `align.${stream}`);
  }
  return forSeed({ ...chosen, method: alignment, seed }, seed);
}

/** How a cell is attacked; a fine-tuning defence finds the alignment's data as its own, where nothing else is given. */
export function attackOptionsOf(options: ExperimentOptions, { fineTuning }: Pipeline, strength: number, seed: number) {
  const { label: _, ...stronger } = options.strengths[strength] ?? {};
  const given = { ...options.attack, ...stronger };
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
