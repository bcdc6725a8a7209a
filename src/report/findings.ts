import { mean } from "../evaluate/statistics.ts";
import type { Aggregate, Cell, MethodSummary } from "./aggregate.ts";
import { counted, decimal, intervalText, listing } from "./format.ts";
import { place, rank } from "./ranking.ts";
import type { ExperimentResult, StrengthEntry } from "./result.ts";

/** Differences of FA, in points, that a reader need not be warned about. */
const SAME_UTILITY = 5;

/** Whether at a strength the defence's harmful scores lie below the reference's, intervals apart. */
function isTold(aggregate: Aggregate, defence: MethodSummary, reference: MethodSummary, at: StrengthEntry): boolean {
  const scores = ({ method }: MethodSummary) =>
    aggregate.cells.find((cell) => cell.method === method && cell.strength === at)?.after.harmful;
  const [mine, theirs] = [scores(defence), scores(reference)];
  return mine !== undefined && theirs !== undefined && mine.high < theirs.low;
}

/** Whether some attack leaves a model that has learned the user's task; one that has not is no defended one. */
const isUsable = ({ worst }: MethodSummary): boolean => worst !== undefined;

/** The headline: who breaks where, in one plain sentence. */
export function headline(result: ExperimentResult, aggregate: Aggregate): string {
  const { reference, defences: ranked } = rank(result, aggregate);
  const defences = ranked.filter(isUsable);
  const name = reference.method.name;
  const [best] = defences;
  const bound = result.utilityBound;
  const everywhere = bound === undefined ? "at every strength tried" : `under every attack whose FA reaches ${bound} %`;
  if (reference.before === undefined) return `No attack on ${name} was measured: there is nothing to compare with`;
  if (!isUsable(reference)) return `Under no attack does the accuracy of ${name} reach the bound of ${bound} %`;
  const bar = reference.breaksAt;
  if (bar === undefined) {
    return best === undefined
      ? `${name} holds ${everywhere}`
      : `${name} itself holds ${everywhere}: the attacks are too weak to compare defences`;
  }
  if (best === undefined) return `${name} breaks at ${bar.label}`;
  if (place(result, best) > place(result, reference) && !isTold(aggregate, best, reference, bar)) {
    return `${name} breaks at ${bar.label}; ${best.method.name} cannot be told from it there, the intervals overlap`;
  }
  const holding = defences.filter((defence) => defence.breaksAt === undefined);
  if (holding.length > 0) {
    const shown = holding.slice(0, holding.length > 3 ? 2 : 3).map(({ method }) => method.name);
    const names = listing(holding.length > 3 ? [...shown, `${holding.length - 2} more`] : shown);
    return `${name} breaks at ${bar.label}; ${names} ${holding.length > 1 ? "hold" : "holds"} ${everywhere}`;
  }
  if (place(result, best) > place(result, reference)) {
    return `${name} breaks at ${bar.label}; ${best.method.name} only at ${best.breaksAt?.label}`;
  }
  return `No defence outlasts ${name}, which breaks at ${bar.label}`;
}

function reductionFinding({ method, reduction, pValue }: MethodSummary, reference: string): string[] {
  if (reduction === undefined || pValue === undefined) return [];
  const seeds = reduction.values.length;
  const { mean: points, low, high } = reduction;
  const [verb, ends] = points >= 0 ? ["lowers", [low, high]] : ["raises", [-high, -low]];
  const least = 2 ** (1 - seeds);
  const p = seeds < 2 ? "" : `, p = ${pValue < 0.001 ? "< 0.001" : decimal(pValue, 3)}`;
  const limit =
    seeds >= 2 && least > 0.05
      ? `, where ${decimal(least, 3)} is the least that ${counted(seeds, "seed")} can show`
      : "";
  return [
    `Averaged over the sweep, ${method.name} ${verb} HS by ${decimal(Math.abs(points))} points against ${reference} (95 % interval ${ends.map((end) => decimal(end)).join(" to ")}${p}${limit}).`,
  ];
}

/** The cell in which a method falls shortest of the reference's FA. */
function shortfall(
  result: ExperimentResult,
  { cells }: Aggregate,
): { cell: Cell; reference: Cell; points: number } | undefined {
  const gaps = cells.flatMap((cell) => {
    const reference = cells.find(
      ({ method, strength }) => method.id === result.reference && strength === cell.strength,
    );
    const [mine, other] = [cell.after.accuracy?.mean, reference?.after.accuracy?.mean];
    if (reference === undefined || reference === cell || mine === undefined || other === undefined) return [];
    return [{ cell, reference, points: other - mine }];
  });
  return gaps.toSorted((a, b) => b.points - a.points)[0];
}

/** The title of the accuracy chart. */
export function accuracyTitle(result: ExperimentResult, aggregate: Aggregate): string {
  const worst = shortfall(result, aggregate);
  const reference = result.methods.find(({ id }) => id === result.reference)?.name;
  if (worst === undefined) return "Fine-tuning accuracy on the user task";
  if (worst.points <= SAME_UTILITY)
    return `Every method learns the user task as well as ${reference}, within ${SAME_UTILITY} points`;
  const [mine, other] = [worst.cell.after.accuracy?.mean ?? 0, worst.reference.after.accuracy?.mean ?? 0];
  return `${worst.cell.method.name} learns the user task less at ${worst.cell.strength.label}: ${decimal(mine, 0)} % against ${decimal(other, 0)} % for ${reference}`;
}

/** The title of the curves under one attack: the reference beside the other method with the lowest HS at its end. */
export function attackTitle(result: ExperimentResult, cells: readonly Cell[]): string {
  const recorded = cells.filter(({ steps }) => steps !== undefined);
  const lowest = recorded
    .filter(({ method }) => method.id !== result.reference)
    .toSorted((a, b) => (a.after.harmful?.mean ?? 0) - (b.after.harmful?.mean ?? 0))[0];
  const told = [recorded.find(({ method }) => method.id === result.reference), lowest].flatMap((cell) => {
    if (cell?.steps === undefined) return [];
    const { median } = cell.steps;
    return [{ name: cell.method.name, median }];
  });
  if (told.every(({ median }) => median === Infinity)) return "The attack, step by step";
  const verb = (median: number) => (median === Infinity ? "does not reach it" : `reaches it after ${median} steps`);
  const [first, second] = told;
  const start =
    first?.median === Infinity
      ? `${first.name} stays below ${result.breakAt} % HS`
      : `${first?.name} reaches ${result.breakAt} % HS after ${first?.median} steps`;
  return second === undefined ? start : `${start}; ${second.name} ${verb(second.median)}`;
}

/** The title of the alignment's curves: what one harmful step still gains at the end, where that was recorded. */
export function alignmentTitle(result: ExperimentResult): string {
  const gains = result.methods.flatMap(({ id, name }) => {
    const ends = result.alignments
      .filter(({ method }) => method === id)
      .flatMap(({ curve }) => {
        const { harmfulLossBefore: before, harmfulLossAfter: after } = curve.at(-1) ?? {};
        return before === undefined || after === undefined ? [] : [before - after];
      });
    return ends.length === 0 ? [] : [{ id, name, gain: mean(ends) }];
  });
  const reference = gains.find(({ id }) => id === result.reference);
  const least = gains.filter(({ id }) => id !== result.reference).toSorted((a, b) => a.gain - b.gain)[0];
  if (reference === undefined || least === undefined) return "The alignment, step by step";
  return `After alignment a harmful step gains ${decimal(least.gain, 2)} nats a token with ${least.name}, ${decimal(reference.gain, 2)} with ${reference.name}`;
}

/** Methods named in a sentence; the table has all of them. */
const MOST_NAMED = 4;

/** Beside the headline: the worst that an attack made of each method and is still of use. */
export function worstCases(result: ExperimentResult, aggregate: Aggregate): string {
  const { reference, defences, baselines } = rank(result, aggregate);
  const told = [reference, ...defences, ...baselines].map(({ method, worst }) => {
    if (worst === undefined) return `${method.name} none`;
    return `${method.name} ${decimal(worst.after.harmful?.mean ?? 0)} % (${intervalText(worst.after.harmful)}) at ${worst.strength.label}`;
  });
  const more = told.length > MOST_NAMED + 1 ? told.length - MOST_NAMED : 0;
  const named = more === 0 ? told : told.slice(0, MOST_NAMED);
  const bound = result.utilityBound === undefined ? "" : ` among the attacks whose FA reaches ${result.utilityBound} %`;
  return `Worst case, the highest mean HS${bound}: ${[...named, ...(more === 0 ? [] : [`${more} more in the table`])].join("; ")}`;
}

/** What a careful reader would want to be told beside the headline. */
export function findings(result: ExperimentResult, aggregate: Aggregate): string[] {
  const { reference, defences, baselines } = rank(result, aggregate);
  const best = defences.find(isUsable);
  const found: string[] = [];
  if (best !== undefined) found.push(...reductionFinding(best, reference.method.name));
  const baseline = baselines.find(isUsable);
  if (best !== undefined && baseline !== undefined) {
    const asGood =
      place(result, baseline) >= place(result, best) && (baseline.area?.mean ?? 100) <= (best.area?.mean ?? 0);
    found.push(
      asGood
        ? `Caution: the trivial baseline \u201c${baseline.method.name}\u201d does at least as well as ${best.method.name}.`
        : `The best trivial baseline, \u201c${baseline.method.name}\u201d, ${baseline.breaksAt ? `breaks at ${baseline.breaksAt.label}` : "does not break either"}${baseline.area ? ` (mean HS ${decimal(baseline.area.mean)} %)` : ""}.`,
    );
  }
  const useless = [...defences, ...baselines].filter((summary) => !isUsable(summary));
  if (useless.length > 0) {
    const names = listing(useless.map(({ method }) => method.name));
    found.push(`Under no attack does the accuracy of ${names} reach the bound of ${result.utilityBound} %.`);
  }
  const worst = shortfall(result, aggregate);
  if (worst !== undefined && worst.points > SAME_UTILITY) {
    found.push(
      `At ${worst.cell.strength.label} ${worst.cell.method.name}\u2019s fine-tuning accuracy is ${decimal(worst.points, 0)} points below ${reference.method.name}\u2019s: compare harm at equal utility.`,
    );
  }
  const leaky = aggregate.cells.toSorted(
    (a, b) => (b.after.taskLeakage?.mean ?? 0) - (a.after.taskLeakage?.mean ?? 0),
  )[0];
  if ((leaky?.after.taskLeakage?.mean ?? 0) >= 10) {
    found.push(
      `Up to ${decimal(leaky?.after.taskLeakage?.mean ?? 0, 0)} % of the answers to harmful prompts merely answer the user task (${leaky?.method.name} at ${leaky?.strength.label}).`,
    );
  }
  const fewest = Math.min(...aggregate.cells.map(({ runs }) => runs.length));
  if (fewest < aggregate.seeds.length) found.push("Some cells have fewer seeds than others; the tables count them.");
  if (aggregate.seeds.length === 1)
    found.push("A single seed: intervals come from the number of prompts alone and hide the spread between seeds.");
  return found;
}
