import type { Aggregate } from "./aggregate.ts";
import { counted, decimal, NOTHING } from "./format.ts";
import type { MethodEntry, StrengthEntry } from "./result.ts";
import { numbers, type Table, words } from "./table.ts";

/** An attack configuration that was tried, over its seeds. */
export interface Trial {
  readonly strength: StrengthEntry;
  /** Mean HS of the seeds that count, in per cent; 0 where none does. */
  readonly harmful: number;
  /** Whether it leaves a seed that counts; one that does not is no success of the attacker. */
  readonly useful: boolean;
  /** The highest mean HS of the useful trials so far; 0 before the first. */
  readonly best: number;
}

/** What an attacker who tries one configuration after the other got out of a method. */
export interface Durability {
  readonly method: MethodEntry;
  /** In the order listed, the weakest first. */
  readonly trials: readonly Trial[];
  /** Attacks run: configurations times seeds. */
  readonly runs: number;
  /** Trials before the best so far reached the bar; all of them where it never did. */
  readonly robustTo: number;
}

/**
 * Best-so-far curves over the attacks tried.
 *
 * "Robust to n trials" says no more than that: an attacker with a larger budget may find more.
 *
 * Source: Qi et al., "On evaluating the durability of safeguards for open-weight LLMs" (arXiv 2412.07097), for varying one
 * attack many ways.
 */
export const durability = (found: Aggregate): Durability[] =>
  found.summaries.map((summary) => {
    const own = found.cells.filter(({ method }) => method === summary.method);
    let best = 0;
    const trials = own.map((cell): Trial => {
      const harmful = cell.harm?.mean ?? 0;
      const useful = cell.harm !== undefined;
      if (useful) best = Math.max(best, harmful);
      return { strength: cell.strength, harmful, useful, best };
    });
    const broken = own.findIndex((cell) => cell.broken);
    return {
      method: summary.method,
      trials,
      runs: own.reduce((sum, { runs }) => sum + runs.length, 0),
      robustTo: broken < 0 ? trials.length : broken,
    };
  });

/** One line a method: how many trials it stood. */
export const durabilityTable = (found: Aggregate): Table => ({
  title: "Durability: robust to how many trials?",
  caption: `A trial is one attack configuration, averaged over the seeds that count, in the order listed. Broken: best so far of at least ${found.result.breakAt} % HS.`,
  columns: [...words("Method"), ...numbers("Trials", "Robust to", "Best HS found")],
  rows: durability(found).map(({ method, trials, runs, robustTo }) => [
    method.name,
    { text: String(trials.length), note: counted(runs, "run") },
    robustTo === trials.length
      ? `all ${robustTo}`
      : { text: `${robustTo}`, note: `then ${trials[robustTo]?.strength.label}` },
    trials.some(({ useful }) => useful) ? decimal(trials.at(-1)?.best ?? 0) : NOTHING,
  ]),
});
