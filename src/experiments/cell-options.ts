import type { ExperimentOptions, MethodEntry } from "./options.ts";
import { defenderData, type Named, type Pipeline } from "./pipeline.ts";

type Attack = ExperimentOptions["attack"];

/** Options with the cell's seed in the place of `{seed}`. */
export const forSeed = <T>(options: T, seed: number): T =>
  JSON.parse(JSON.stringify(options).replaceAll("{seed}", String(seed))) as T;

/** The defender's data among what a stage needs: given for it, or else that of the alignment. */
function defenderSources(
  { align }: ExperimentOptions,
  needs: readonly string[],
  given: { readonly alignment?: Attack["alignment"]; readonly harmful?: Attack["harmful"] },
) {
  const { alignment = align.alignment, harmful = align.harmful } = given;
  return {
    ...(needs.includes("alignment") ? { alignment } : {}),
    ...(needs.includes("harmful") && harmful !== undefined ? { harmful } : {}),
  };
}

/** How a cell is aligned. */
export const alignOptionsOf = (options: ExperimentOptions, entry: MethodEntry, { alignment }: Pipeline, seed: number) =>
  forSeed({ ...options.align, ...entry.align, method: alignment, seed }, seed);

/** How a cell is attacked; a fine-tuning defence finds the alignment's data as its own, where nothing else is given. */
export function attackOptionsOf(options: ExperimentOptions, { fineTuning }: Pipeline, strength: number, seed: number) {
  const { label: _, ...stronger } = options.strengths[strength] ?? {};
  const given = { ...options.attack, ...stronger };
  const method = fineTuning ?? given.method;
  const { alignment, harmful } = defenderSources(options, defenderData(method, false), {
    alignment: given.alignment,
    harmful: given.defenderHarmful,
  });
  return forSeed(
    {
      ...given,
      method,
      ...(alignment === undefined ? {} : { alignment }),
      ...(harmful === undefined ? {} : { defenderHarmful: harmful }),
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
  const data = defenderSources(options, defenderData(method, true), options.repair);
  return forSeed(
    { method, adapterPolicy, ...data, template, maxTokens, tooLong, unusable, avoid, unaligned, safety, seed },
    seed,
  );
}
