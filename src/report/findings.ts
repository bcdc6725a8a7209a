import { mean } from "../evaluate/statistics.ts";
import { type Aggregate, type Cell, cellAt, gainOf, type MethodSummary } from "./aggregate.ts";
import { counted, decimal, intervalText, listing } from "./format.ts";
import { place, rank } from "./ranking.ts";
import type { StrengthEntry } from "./result.ts";

/** Differences of FA, in points, that a reader need not be warned about. */
const SAME_UTILITY = 5;

/** Whether at a strength the defence's harmful scores lie below the reference's, intervals apart. */
function isTold(aggregate: Aggregate, defence: MethodSummary, reference: MethodSummary, at: StrengthEntry): boolean {
  const scores = ({ method }: MethodSummary) => cellAt(aggregate, method, at)?.after.harmful;
  const [mine, theirs] = [scores(defence), scores(reference)];
  return mine !== undefined && theirs !== undefined && mine.high < theirs.low;
}

/** Whether some attack leaves a model that has learned the user's task; one that has not is no defended one. */
const isUsable = ({ worst }: MethodSummary): boolean => worst !== undefined;

/** The headline: who breaks where, in one plain sentence. */
export function headline(aggregate: Aggregate): string {
  const { reference, defences: ranked } = rank(aggregate);
  const defences = ranked.filter(isUsable);
  const name = reference.method.name;
  const [best] = defences;
  const bound = aggregate.result.utilityBound;
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
  if (place(aggregate, best) > place(aggregate, reference) && !isTold(aggregate, best, reference, bar)) {
    return `${name} breaks at ${bar.label}; ${best.method.name} cannot be told from it there, the intervals overlap`;
  }
  const holding = defences.filter((defence) => defence.breaksAt === undefined);
  if (holding.length > 0) {
    const shown = holding.slice(0, holding.length > 3 ? 2 : 3).map(({ method }) => method.name);
    const names = listing(holding.length > 3 ? [...shown, `${holding.length - 2} more`] : shown);
    return `${name} breaks at ${bar.label}; ${names} ${holding.length > 1 ? "hold" : "holds"} ${everywhere}`;
  }
  if (place(aggregate, best) > place(aggregate, reference)) {
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
function shortfall(aggregate: Aggregate) {
  const gaps = aggregate.cells.flatMap((cell) => {
    const reference = cellAt(aggregate, aggregate.reference, cell.strength);
    const [mine, other] = [cell.after.accuracy?.mean, reference?.after.accuracy?.mean];
    if (reference === cell || mine === undefined || other === undefined) return [];
    return [{ cell, mine, other, points: other - mine }];
  });
  return gaps.toSorted((a, b) => b.points - a.points)[0];
}

/** The title of the accuracy chart. */
export function accuracyTitle(aggregate: Aggregate): string {
  const worst = shortfall(aggregate);
  const reference = aggregate.reference.name;
  if (worst === undefined) return "Fine-tuning accuracy on the user task";
  if (worst.points <= SAME_UTILITY)
    return `Every method learns the user task as well as ${reference}, within ${SAME_UTILITY} points`;
  const { cell, mine, other } = worst;
  return `${cell.method.name} learns the user task less at ${cell.strength.label}: ${decimal(mine, 0)} % against ${decimal(other, 0)} % for ${reference}`;
}

/** The title of the curves under one attack: the reference beside the other method with the lowest HS at its end. */
export function attackTitle({ result, reference }: Aggregate, cells: readonly Cell[]): string {
  const recorded = cells.flatMap(({ method, after, steps }) =>
    steps === undefined ? [] : [{ method, harmful: after.harmful?.mean ?? 0, median: steps.median }],
  );
  const lowest = recorded.filter(({ method }) => method !== reference).toSorted((a, b) => a.harmful - b.harmful)[0];
  const told = [recorded.find(({ method }) => method === reference), lowest].filter((cell) => cell !== undefined);
  const [first, second] = told;
  if (first === undefined || told.every(({ median }) => median === Infinity)) return "The attack, step by step";
  const start =
    first.median === Infinity
      ? `${first.method.name} stays below ${result.breakAt} % HS`
      : `${first.method.name} reaches ${result.breakAt} % HS after ${first.median} steps`;
  if (second === undefined) return start;
  const verb = second.median === Infinity ? "does not reach it" : `reaches it after ${second.median} steps`;
  return `${start}; ${second.method.name} ${verb}`;
}

/** The title of the alignment's curves: what one harmful step still gains at the end, where that was recorded. */
export function alignmentTitle({ result, reference }: Aggregate): string {
  const gains = result.methods.flatMap((method) => {
    const ends = result.alignments
      .filter((alignment) => alignment.method === method.id)
      .flatMap(({ curve }) => gainOf(curve.at(-1) ?? {}) ?? []);
    return ends.length === 0 ? [] : [{ method, gain: mean(ends) }];
  });
  const own = gains.find(({ method }) => method === reference);
  const least = gains.filter(({ method }) => method !== reference).toSorted((a, b) => a.gain - b.gain)[0];
  if (own === undefined || least === undefined) return "The alignment, step by step";
  return `After alignment a harmful step gains ${decimal(least.gain, 2)} nats a token with ${least.method.name}, ${decimal(own.gain, 2)} with ${reference.name}`;
}

/** Methods named in a sentence; the table has all of them. */
const MOST_NAMED = 4;

/** Beside the headline: the worst that an attack made of each method and is still of use. */
export function worstCases(aggregate: Aggregate): string {
  const { result } = aggregate;
  const { reference, defences, baselines } = rank(aggregate);
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
export function findings(aggregate: Aggregate): string[] {
  const { reference, defences, baselines } = rank(aggregate);
  const best = defences.find(isUsable);
  const found: string[] = [];
  if (best !== undefined) found.push(...reductionFinding(best, reference.method.name));
  const baseline = baselines.find(isUsable);
  if (best !== undefined && baseline !== undefined) {
    const asGood =
      place(aggregate, baseline) >= place(aggregate, best) && (baseline.area?.mean ?? 100) <= (best.area?.mean ?? 0);
    found.push(
      asGood
        ? `Caution: the trivial baseline \u201c${baseline.method.name}\u201d does at least as well as ${best.method.name}.`
        : `The best trivial baseline, \u201c${baseline.method.name}\u201d, ${baseline.breaksAt ? `breaks at ${baseline.breaksAt.label}` : "does not break either"}${baseline.area ? ` (mean HS ${decimal(baseline.area.mean)} %)` : ""}.`,
    );
  }
  const useless = [...defences, ...baselines].filter((summary) => !isUsable(summary));
  if (useless.length > 0) {
    const names = listing(useless.map(({ method }) => method.name));
    found.push(`Under no attack does the accuracy of ${names} reach the bound of ${aggregate.result.utilityBound} %.`);
  }
  const worst = shortfall(aggregate);
  if (worst !== undefined && worst.points > SAME_UTILITY) {
    found.push(
      `At ${worst.cell.strength.label} ${worst.cell.method.name}\u2019s fine-tuning accuracy is ${decimal(worst.points, 0)} points below ${reference.method.name}\u2019s: compare harm at equal utility.`,
    );
  }
  const leakage = ({ after }: Cell) => after.taskLeakage?.mean ?? 0;
  const [leaky] = aggregate.cells.toSorted((a, b) => leakage(b) - leakage(a));
  if (leaky !== undefined && leakage(leaky) >= 10) {
    found.push(
      `Up to ${decimal(leakage(leaky), 0)} % of the answers to harmful prompts merely answer the user task (${leaky.method.name} at ${leaky.strength.label}).`,
    );
  }
  const fewest = Math.min(...aggregate.cells.map(({ runs }) => runs.length));
  if (fewest < aggregate.seeds.length) found.push("Some cells have fewer seeds than others; the tables count them.");
  if (aggregate.seeds.length === 1)
    found.push("A single seed: intervals come from the number of prompts alone and hide the spread between seeds.");
  return found;
}
