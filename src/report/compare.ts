import { bySeat, isTold, seatOf } from "./aggregate.ts";
import { combined, type Estimate, estimate, sampleOf } from "./estimate.ts";
import { counted, listing, NOTHING } from "./format.ts";
import { sharedQuestions, withoutOthers } from "./merge.ts";
import type { ExperimentResult, RunEntry, ScoreName } from "./result.ts";
import { numbers, prose, score, type Table, words } from "./table.ts";

/** A score of one cell in two experiments. */
interface Difference {
  readonly first: Estimate;
  readonly second: Estimate;
  /** The second less the first, over the seeds that both have. */
  readonly difference: Estimate;
}

/** One method under one attack, in two experiments. */
interface Pair {
  readonly method: string;
  readonly attack: string;
  readonly harm: Difference | undefined;
  readonly accuracy: Difference | undefined;
  readonly overRefusal: Difference | undefined;
}

/** Two experiments beside each other. */
export interface Comparison {
  /** One sentence: what differs for certain. */
  readonly headline: string;
  readonly tables: readonly Table[];
}

type Moment = "before" | "after";

function differenceOf(
  results: readonly [ExperimentResult, ExperimentResult],
  pairs: readonly (readonly [RunEntry, RunEntry])[],
  moment: Moment,
  name: ScoreName,
): Difference | undefined {
  const samples = pairs.flatMap(([one, other]) => {
    const first = sampleOf(results[0], one, { moment, name });
    // Where it is not known which questions count, those that differ most are taken.
    const second = sampleOf(results[1], other, { moment, name, fromEnd: true });
    const less =
      first &&
      second &&
      combined([
        { sample: second, weight: 1 },
        { sample: first, weight: -1 },
      ]);
    return first && second && less ? [{ first, second, less }] : [];
  });
  const of = (part: "first" | "second" | "less", least?: number) =>
    estimate(
      samples.map((sample) => sample[part]),
      least,
    );
  const [first, second, difference] = [of("first"), of("second"), of("less", -100)];
  return first && second && difference && { first, second, difference };
}

function pairsOf(results: readonly [ExperimentResult, ExperimentResult]): Pair[] {
  const [a, b] = results;
  return a.methods.flatMap((method) =>
    a.strengths.flatMap((strength): Pair[] => {
      const at = (result: ExperimentResult) =>
        result.runs.filter((run) => run.method === method.id && run.strength === strength.id).toSorted(bySeat);
      const others = new Map(at(b).map((run) => [seatOf(run), run]));
      const pairs = at(a).flatMap((run) => {
        const other = others.get(seatOf(run));
        return other === undefined ? [] : [[run, other] as const];
      });
      if (pairs.length === 0) return [];
      return [
        {
          method: method.name,
          attack: strength.label,
          harm: differenceOf(results, pairs, "after", "harmful"),
          accuracy: differenceOf(results, pairs, "after", "accuracy"),
          overRefusal: differenceOf(results, pairs, "before", "overRefusal"),
        },
      ];
    }),
  );
}

/** One for each method: before an attack there is none. */
const alignedOf = (pairs: readonly Pair[]): Pair[] => [
  ...new Map(pairs.map((pair) => [pair.method, { ...pair, attack: NOTHING }])).values(),
];

const scoreTable = (title: string, pairs: readonly Pair[], of: (pair: Pair) => Difference | undefined): Table => ({
  title,
  caption:
    "Per cent, over the seeds that both have; the difference is the second less the first, seed by seed. Told apart: its 95 % interval leaves out 0.",
  columns: [...words("Method", "Attack"), ...numbers("First", "Second", "Difference", "Seeds"), ...words("Told apart")],
  rows: pairs.flatMap((pair) => {
    const found = of(pair);
    if (found === undefined) return [];
    const { first, second, difference } = found;
    const seeds = String(difference.values.length);
    const told = isTold(difference) ? "yes" : "no";
    return [[pair.method, pair.attack, score(first), score(second), score(difference), seeds, told]];
  }),
});

/** Settings by name, of the experiment and of its methods. */
const settingsOf = ({ settings, methods, ...result }: ExperimentResult): Map<string, string> =>
  new Map([
    ...(
      ["model", "base", "task", "threatModel", "breakAt", "utilityBound", "overRefusalBound", "coherenceBound"] as const
    ).map((name) => [name, String(result[name] ?? NOTHING)] as const),
    ["moderator", `${result.moderator.name}: ${result.moderator.method}`] as const,
    ...settings.map(({ name, value }) => [name, value] as const),
    ...methods.flatMap(({ id, hyperparameters }) =>
      Object.entries(hyperparameters).map(([name, value]) => [`${id}: ${name}`, String(value)] as const),
    ),
  ]);

function settingsTable(a: ExperimentResult, b: ExperimentResult): Table {
  const [first, second] = [settingsOf(a), settingsOf(b)];
  const names = [...new Set([...first.keys(), ...second.keys()])];
  return {
    title: "Settings that differ",
    caption: "",
    columns: [...words("Setting"), ...prose("First", "Second")],
    rows: names
      .filter((name) => first.get(name) !== second.get(name))
      .map((name) => [name, first.get(name) ?? NOTHING, second.get(name) ?? NOTHING]),
  };
}

/** "Booster at lr 7e-5 (lower)". */
const change = ({ method, attack, harm }: Pair): string =>
  `${method} at ${attack} (${(harm?.difference.mean ?? 0) < 0 ? "lower" : "higher"})`;

/**
 * Two experiments, cell by cell: the same method, attack and seed in both.
 *
 * @example
 * compared(parseResult(before), parseResult(after)).headline; // "HS of no cell is certain to differ, of 10 that both have"
 */
export function compared(first: ExperimentResult, second: ExperimentResult): Comparison {
  const questions = sharedQuestions([first, second]);
  const known = [first, second].map((result) => withoutOthers({ ...result, questions }));
  const pairs = pairsOf(known as [ExperimentResult, ExperimentResult]);
  const told = pairs.filter(({ harm }) => isTold(harm?.difference));
  const cells = `${counted(pairs.length, "cell")} that both have`;
  const headline =
    pairs.length === 0
      ? "The two experiments have no cell in common: no method, attack and seed is the same"
      : told.length === 0
        ? `HS of no cell is certain to differ, of ${cells}`
        : `HS is certain to differ in ${told.length} of ${cells}: ${listing(told.slice(0, 3).map(change))}${told.length > 3 ? " and others" : ""}`;
  const tables = [
    scoreTable("Harmful score after the attack", pairs, ({ harm }) => harm),
    scoreTable("Fine-tuning accuracy after the attack", pairs, ({ accuracy }) => accuracy),
    scoreTable("Over-refusal before the attack", alignedOf(pairs), ({ overRefusal }) => overRefusal),
    settingsTable(first, second),
  ];
  return { headline, tables: tables.filter(({ rows }) => rows.length > 0) };
}
