import { mean } from "../evaluate/statistics.ts";
import { type Aggregate, type Cell, cellAt, gainOf, isTold, type MethodSummary } from "./aggregate.ts";
import { counted, decimal, intervalText, listing } from "./format.ts";
import { place, rank } from "./ranking.ts";
import { boundText } from "./useful.ts";

/** Differences of FA, in points, that a reader need not be warned about. */
const SAME_UTILITY = 5;
/** Per cent of answers that a reader is told of. */
const NOTABLE = 10;

/** With fewer seeds than this the interval of no difference leaves out zero, whatever they came to: 0.025^(1 / n) is above 1/2. */
const FEWEST_SEEDS = 6;

/** Whether some attack leaves a model of use; a method after which none is of use is no defence. */
const isUsable = ({ worst }: MethodSummary): boolean => worst !== undefined;

/** "lr 5e-5 in 3 of 3 seeds". */
function brokenAt(aggregate: Aggregate, { method, breaksAt }: MethodSummary): string {
  const cell = cellAt(aggregate, method, breaksAt);
  return `${breaksAt?.label} in ${cell?.brokenSeeds} of ${counted(cell?.useful.length ?? 0, "seed")}`;
}

/** What a reader must know who takes a difference for certain that is not. */
function doubt({ reduction }: MethodSummary): string {
  const seeds = reduction?.values.length ?? 0;
  if (reduction?.source === "prompts") return "; one seed says nothing of others";
  if (seeds < FEWEST_SEEDS) return `; ${seeds} seeds are too few to tell them apart for certain`;
  return "; the interval of the difference includes 0";
}

/** The headline: who breaks where, in one plain sentence. */
export function headline(aggregate: Aggregate): string {
  const { reference, defences: ranked } = rank(aggregate);
  const defences = ranked.filter(isUsable);
  const name = reference.method.name;
  const [best] = defences;
  const bound = boundText(aggregate.result);
  const everywhere = bound === undefined ? "at every strength tried" : `under every attack after which ${bound}`;
  if (reference.before === undefined) return `No attack on ${name} was measured: there is nothing to compare with`;
  if (!isUsable(reference)) return `No attack leaves ${name} of use: in no seed ${bound}`;
  if (reference.breaksAt === undefined) {
    return best === undefined
      ? `${name} holds ${everywhere}`
      : `${name} itself holds ${everywhere}: the attacks are too weak to compare defences`;
  }
  const bar = brokenAt(aggregate, reference);
  if (best === undefined) return `${name} breaks at ${bar}`;
  if (place(aggregate, best) <= place(aggregate, reference))
    return `No defence outlasts ${name}, which breaks at ${bar}`;
  const lasting = best.breaksAt === undefined ? defences.filter(({ breaksAt }) => breaksAt === undefined) : [best];
  const certain = lasting.filter(({ reduction }) => isTold(reduction) && (reduction?.low ?? 0) > 0);
  const named = certain.length > 0 ? certain : lasting;
  const shown = named.slice(0, named.length > 3 ? 2 : 3).map(({ method }) => method.name);
  const names = listing(named.length > 3 ? [...shown, `${named.length - 2} more`] : shown);
  const end =
    best.breaksAt === undefined
      ? `${names} ${named.length > 1 ? "hold" : "holds"} ${everywhere}`
      : `${names} only at ${brokenAt(aggregate, best)}`;
  return `${name} breaks at ${bar}; ${end}${certain.length > 0 ? "" : doubt(best)}`;
}

function reductionFinding({ method, reduction, pValue }: MethodSummary, reference: string): string[] {
  if (reduction === undefined || pValue === undefined) return [];
  const { values, mean: points, low, high } = reduction;
  const [word, ends, lower] =
    points >= 0
      ? ["below", [low, high], values.filter((value) => value > 0)]
      : ["above", [-high, -low], values.filter((value) => value < 0)];
  const seeds = values.length;
  const least = 2 ** (1 - seeds);
  const p = seeds < 2 ? "" : `, p = ${pValue < 0.001 ? "< 0.001" : decimal(pValue, 3)}`;
  const limit =
    seeds >= 2 && least > 0.05
      ? `, where ${decimal(least, 3)} is the least that ${counted(seeds, "seed")} can show`
      : "";
  return [
    `Averaged over the attacks after which both count, ${method.name}\u2019s HS is ${decimal(Math.abs(points))} points ${word} ${reference}\u2019s, in ${lower.length} of ${counted(seeds, "seed")} (95 % interval for other seeds and questions ${ends.map((end) => decimal(end)).join(" to ")}${p}${limit}).`,
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
    return `Mean accuracy on the user task: every method within ${SAME_UTILITY} points of ${reference}`;
  const { cell, mine, other } = worst;
  return `Mean accuracy on the user task at ${cell.strength.label}: ${cell.method.name} ${decimal(mine, 0)} %, ${reference} ${decimal(other, 0)} %`;
}

/** The title of the curves under one attack: the reference beside the other method with the lowest HS at its end. */
export function attackTitle({ result, reference }: Aggregate, cells: readonly Cell[]): string {
  const recorded = cells.flatMap(({ method, harm, steps }) =>
    steps === undefined || harm === undefined ? [] : [{ method, harmful: harm.mean, median: steps.median }],
  );
  const lowest = recorded.filter(({ method }) => method !== reference).toSorted((a, b) => a.harmful - b.harmful)[0];
  const told = [recorded.find(({ method }) => method === reference), lowest].filter((cell) => cell !== undefined);
  const [first, second] = told;
  if (first === undefined || told.every(({ median }) => median === Infinity)) return "The attack, step by step";
  const start =
    first.median === Infinity
      ? `In the median seed ${first.method.name} stays below ${result.breakAt} % HS`
      : `In the median seed ${first.method.name} reaches ${result.breakAt} % HS after ${first.median} steps`;
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

/** Beside the headline: the worst that the attacks made of each seed and is still of use. */
export function worstCases(aggregate: Aggregate): string {
  const { reference, defences, baselines } = rank(aggregate);
  const told = [reference, ...defences, ...baselines].map(({ method, worst }) => {
    if (worst === undefined) return `${method.name} none`;
    return `${method.name} ${decimal(worst.harm.mean)} % (${intervalText(worst.harm)}) at ${worst.under[0]}`;
  });
  const more = told.length > MOST_NAMED + 1 ? told.length - MOST_NAMED : 0;
  const named = more === 0 ? told : told.slice(0, MOST_NAMED);
  const bound = boundText(aggregate.result);
  const among = bound === undefined ? "" : ` among the attacks after which ${bound}`;
  return `Worst case, the highest HS of each seed${among}: ${[...named, ...(more === 0 ? [] : [`${more} more in the table`])].join("; ")}`;
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
    found.push(`No attack leaves ${names} of use: in no seed ${boundText(aggregate.result)}.`);
  }
  for (const { method, overRefusalBefore } of [reference, ...defences]) {
    if ((overRefusalBefore?.mean ?? 0) < NOTABLE) continue;
    found.push(
      `Before any attack ${method.name} refuses ${decimal(overRefusalBefore?.mean ?? 0, 0)} % of the harmless prompts.`,
    );
  }
  const worst = shortfall(aggregate);
  if (worst !== undefined && worst.points > SAME_UTILITY) {
    found.push(
      `At ${worst.cell.strength.label} ${worst.cell.method.name}\u2019s fine-tuning accuracy is ${decimal(worst.points, 0)} points below ${reference.method.name}\u2019s: compare harm at equal utility.`,
    );
  }
  const leakage = ({ after }: Cell) => after.taskLeakage?.mean ?? 0;
  const [leaky] = aggregate.cells.toSorted((a, b) => leakage(b) - leakage(a));
  if (leaky !== undefined && leakage(leaky) >= NOTABLE) {
    found.push(
      `Up to ${decimal(leakage(leaky), 0)} % of the answers to harmful prompts merely answer the user task (${leaky.method.name} at ${leaky.strength.label}).`,
    );
  }
  const fewest = Math.min(...aggregate.cells.map(({ runs }) => runs.length));
  if (fewest < aggregate.seeds.length) found.push("Some cells have fewer seeds than others; the tables count them.");
  if (aggregate.seeds.length === 1)
    found.push("A single seed: intervals are about other questions to these models and say nothing of other seeds.");
  return found;
}
