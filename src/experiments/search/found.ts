import type { ExperimentResultInput } from "../../report/index.ts";
import { readEvaluation } from "../../stages/evaluate.ts";
import type { CellResult } from "../assemble.ts";
import { idOf } from "../cell-options.ts";
import type { ExperimentOptions } from "../options.ts";
import type { Cell, Key, Plan, SearchCell } from "../plan.ts";
import type { Outcome } from "../runners/outcome.ts";
import { scoresOf } from "../scores.ts";
import { strengthLabel, valueText } from "../strengths.ts";
import { boundsOf, standing } from "./fit.ts";

type Search = NonNullable<ExperimentResultInput["search"]>;

/** What searches came to: their trials, and the cell of the worst attack of each, with its name. */
export interface Searches {
  readonly search: Omit<Search, "found">;
  readonly found: readonly { readonly cell: CellResult; readonly label: string }[];
}

/** The searches of an experiment, from what came of its pieces; undefined where it has none. */
export function searchesOf(
  options: ExperimentOptions,
  { searches, candidates }: Pick<Plan, "searches" | "candidates">,
  outcomes: ReadonlyMap<Key, Outcome>,
  resultOf: (cell: Cell) => readonly CellResult[],
): Searches | undefined {
  const { search } = options.attack;
  if (search === undefined) return undefined;
  const tried = { ...options, strengths: [...candidates] };
  const runOf = (key: Key): string | undefined => {
    const outcome = outcomes.get(key);
    return outcome !== undefined && "run" in outcome ? outcome.run : undefined;
  };
  /** Candidates in the order in which they stand before a rung. */
  const before = ({ rungs }: SearchCell, rung: number): readonly number[] => {
    const done = rungs.slice(0, rung).map(({ judged }) => judged);
    const sizes = done.map((judged) => judged.length);
    return standing(done.flat().map(runOf), sizes, candidates.length, boundsOf(options));
  };
  const trials = searches.flatMap((cell) =>
    cell.rungs.flatMap(({ share, judged }, rung) => {
      const places = before(cell, rung);
      return judged.map((key, slot) => {
        const run = runOf(key);
        return {
          method: idOf(options, cell.method),
          seed: cell.seed,
          label: strengthLabel(tried, places[slot] as number),
          share,
          ...(run !== undefined && { scores: scoresOf(readEvaluation(run), undefined, {}) }),
        };
      });
    }),
  );
  return {
    search: {
      strategy: search.strategy,
      budget: search.budget,
      space: Object.entries(search.space).map(([name, values]) => ({
        name,
        value: ((values ?? []) as readonly unknown[]).map(valueText).join(", "),
      })),
      trials,
    },
    found: searches.flatMap((cell) =>
      resultOf(cell).map((result) => ({
        cell: result,
        label: strengthLabel(tried, before(cell, cell.rungs.length)[0] as number),
      })),
    ),
  };
}
