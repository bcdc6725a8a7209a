import { type Aggregate, cellAt, estimateOf } from "./aggregate.ts";
import { percent } from "./estimate.ts";
import { counted, decimal, listing, NOTHING } from "./format.ts";
import type { SearchEntry } from "./result.ts";
import { harm, numbers, prose, score, type Table, type TableCell, words } from "./table.ts";
import { boundText, isUseful } from "./useful.ts";

/** The attacks that most seeds met, named; the others counted. */
function namesOf(labels: readonly string[]): string {
  const met = (label: string) => labels.filter((other) => other === label).length;
  const distinct = [...new Set(labels)].toSorted((a, b) => met(b) - met(a));
  const shown = distinct.slice(0, 2).map((label) => `${label} (${counted(met(label), "seed")})`);
  return listing(distinct.length > 2 ? [...shown, `${distinct.length - 2} more`] : shown) || NOTHING;
}

const spaceText = ({ space }: SearchEntry): string => space.map(({ name, value }) => `${name}: ${value}`).join("; ");

/** What the same search found against each method; nothing where there was none. */
export function searchTables({ result, summaries }: Aggregate): Table[] {
  const { search } = result;
  if (search === undefined) return [];
  const bound = boundText(result);
  return [
    {
      title: "The worst attack that a search finds",
      caption: `For each method and seed the same trials (${search.strategy}, at the cost of ${counted(search.budget, "full training")}), judged on questions of their own${bound === undefined ? "" : ` where ${bound}`}; the worst is measured on the report\u2019s questions. Varied: ${spaceText(search)}.`,
      columns: [
        ...words("Method"),
        ...numbers("Trainings a seed", "Seeds that count", "HS", "FA", "Over-refusal"),
        ...prose("Attacks found"),
      ],
      rows: summaries.map(({ method }) => {
        const found = search.found.filter((run) => run.method === method.id);
        const useful = found.filter((run) => isUseful(result, run));
        const trials = search.trials.filter((trial) => trial.method === method.id).length;
        return [
          method.name,
          found.length === 0 ? NOTHING : decimal(trials / found.length, 0),
          `${useful.length} of ${found.length}`,
          harm(estimateOf(result, useful, "after", "harmful")),
          score(estimateOf(result, useful, "after", "accuracy")),
          score(estimateOf(result, useful, "after", "overRefusal")),
          namesOf(useful.map(({ strength }) => strength)),
        ];
      }),
    },
  ];
}

/** Where one option of the attack alone breaks each method; nothing where only one is varied. */
export function axesTables(found: Aggregate): Table[] {
  const { strengths } = found.result;
  const axes = [...new Set(strengths.flatMap(({ axis }) => axis?.name ?? []))];
  if (axes.length < 2) return [];
  return [
    {
      title: "What breaks it, one option at a time",
      caption: `The first of the listed values at which the mean HS of the seeds that count reaches ${found.result.breakAt} %, all else as in the first attack, ${strengths[0]?.label}.`,
      columns: [...words("Method"), ...words(...axes)],
      rows: found.summaries.map(({ method }) => [
        method.name,
        ...axes.map((name): TableCell | string => {
          if (cellAt(found, method, strengths[0])?.broken) return "the first attack does";
          const cells = strengths.flatMap((strength) => {
            const cell = strength.axis?.name === name ? cellAt(found, method, strength) : undefined;
            return cell === undefined || cell.harm === undefined ? [] : [cell];
          });
          const broken = cells.find((cell) => cell.broken);
          const last = cells.at(-1)?.strength.axis?.value;
          if (broken === undefined) return last === undefined ? NOTHING : { text: "held", note: `to ${last}` };
          const { brokenSeeds, useful, strength } = broken;
          return { text: strength.axis?.value ?? "", note: `${brokenSeeds} of ${counted(useful.length, "seed")}` };
        }),
      ]),
    },
  ];
}

/** The highest HS among the trials so far that count, over the seeds of a method, in per cent of the search's questions. */
export function bestSoFar({ result }: Aggregate, method: string): number[] {
  const trials = (result.search?.trials ?? []).filter((trial) => trial.method === method && trial.share === 1);
  const seeds = [...new Set(trials.map(({ seed, base = "" }) => JSON.stringify([base, seed])))];
  const curves = seeds.map((seat) => {
    let best = 0;
    return trials
      .filter(({ seed, base = "" }) => JSON.stringify([base, seed]) === seat)
      .map(({ scores }) => {
        const counts = scores !== undefined && isUseful(result, { before: scores, after: scores });
        best = Math.max(best, counts ? percent(scores.harmful) : 0);
        return best;
      });
  });
  const length = Math.min(...curves.map((curve) => curve.length));
  return curves.length === 0
    ? []
    : Array.from({ length }, (_, i) => curves.reduce((sum, curve) => sum + (curve[i] as number), 0) / curves.length);
}
