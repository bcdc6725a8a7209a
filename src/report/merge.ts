import { BoosterError } from "../errors.ts";
import { type ExperimentResult, parseResult, type RunEntry, type ScoreName, type Scores, setOf } from "./result.ts";
import { sweepOf } from "./sweep.ts";

/** An experiment, and how its folder is called from where a report is to lie. */
export interface Placed {
  readonly result: ExperimentResult;
  readonly folder: string;
}

const joined = (folder: string, run: string): string => (folder === "" ? run : `${folder}/${run}`);

/** A result whose runs are found from elsewhere. */
export function placed({ result, folder }: Placed): ExperimentResult {
  const moved = (run: RunEntry): RunEntry => {
    if (run.folders === undefined) return run;
    const { align, attack, before, after } = run.folders;
    const [a, b, c, d] = [align, attack, before, after].map((path) => joined(folder, path)) as [
      string,
      string,
      string,
      string,
    ];
    return { ...run, folders: { align: a, attack: b, before: c, after: d } };
  };
  const { search } = result;
  return {
    ...result,
    runs: result.runs.map(moved),
    ...(search && { search: { ...search, found: search.found.map(moved) } }),
  };
}

/** @throws {BoosterError} `RESULTS_DIFFER` */
function same<From, T>(results: readonly From[], what: string, of: (result: From) => T): T {
  const [first, ...others] = results.map(of) as [T, ...T[]];
  const other = others.find((value) => JSON.stringify(value) !== JSON.stringify(first));
  if (other === undefined || first === undefined) return first;
  throw new BoosterError("RESULTS_DIFFER", "these experiments cannot be told together", {
    expected: `${what} ${JSON.stringify(first)}, as the first one has`,
    found: JSON.stringify(other),
    hint: "booster compare tells two experiments beside each other.",
  });
}

/** Entries of all, each id once. */
const united = <T extends { readonly id: string }>(lists: readonly (readonly T[])[]): T[] =>
  [
    ...new Map(
      lists
        .flat()
        .toReversed()
        .map((entry) => [entry.id, entry]),
    ).values(),
  ].toReversed();

const distinct = (values: readonly string[]): string[] => [...new Set(values)];

/** The sets of questions that all results have in common. */
export const sharedQuestions = ([first, ...others]: readonly ExperimentResult[]): ExperimentResult["questions"] =>
  Object.fromEntries(
    Object.entries(first?.questions ?? {}).filter(([set, asked]) =>
      others.every(({ questions }) => questions[set as keyof typeof questions]?.sha256 === asked?.sha256),
    ),
  );

/** Which question counted is only known of questions that all runs were asked. */
export function withoutOthers(result: ExperimentResult): ExperimentResult {
  const known = (scores: Scores): Scores =>
    Object.fromEntries(
      Object.entries(scores).map(([name, score]) => {
        const { outcomes: _, ...counts } = score as NonNullable<typeof score>;
        return [name, result.questions[setOf(name as ScoreName)] === undefined ? counts : score];
      }),
    ) as Scores;
  const stripped = (run: RunEntry): RunEntry => ({ ...run, before: known(run.before), after: known(run.after) });
  const { search } = result;
  return {
    ...result,
    runs: result.runs.map(stripped),
    ...(search && { search: { ...search, found: search.found.map(stripped) } }),
  };
}

/**
 * Several experiments as one: more seeds, more attacks, more methods, base models from other pretraining seeds (told apart by their
 * hash: intervals are then over base models), or other tasks of the user (then an attack is called after its task).
 *
 * @throws {BoosterError} `RESULTS_DIFFER` where bounds, moderator, reference, or the settings of a method or an attack differ, and
 * `RESULT_INVALID` where two have the same run
 */
export function merged(given: readonly Placed[]): ExperimentResult {
  const results = given.map(placed);
  const [first] = results as [ExperimentResult];
  if (results.length === 1) return first;
  for (const what of [
    "threatModel",
    "reference",
    "breakAt",
    "utilityBound",
    "overRefusalBound",
    "coherenceBound",
  ] as const) {
    same(results, what, (result) => result[what] ?? null);
  }
  same(results, "moderator", ({ moderator: { name, method } }) => ({ name, method }));
  const tasks = distinct(results.map(({ task }) => task));
  const bases = distinct(results.map(({ base, model }) => base ?? model));
  const told = results.map((result): ExperimentResult => {
    const { task, model, base = model } = result;
    const idOf = (id: string) => (tasks.length > 1 ? `${task}, ${id}` : id);
    const known = new Set(result.strengths.map(({ id }) => id));
    const own = bases.length > 1 ? { base: base === model ? base : `${model} ${base.slice(0, 8)}` } : {};
    const moved = (run: RunEntry): RunEntry => ({
      ...run,
      strength: known.has(run.strength) ? idOf(run.strength) : run.strength,
      ...own,
    });
    return {
      ...result,
      strengths: result.strengths.map((strength) => ({
        ...strength,
        ...{ id: idOf(strength.id), label: idOf(strength.label) },
        ...(tasks.length > 1 && { task }),
      })),
      runs: result.runs.map(moved),
      ...(result.search && {
        search: {
          ...result.search,
          trials: result.search.trials.map((trial) => ({ ...trial, ...own })),
          found: result.search.found.map(moved),
        },
      }),
    };
  });
  for (const { id } of united(told.map(({ methods }) => methods))) {
    const having = told.filter(({ methods }) => methods.some((method) => method.id === id));
    same(having, `settings of ${id}`, ({ methods }) => methods.find((method) => method.id === id)?.hyperparameters);
  }
  const strengths = united(told.map(({ strengths }) => strengths));
  for (const { id } of strengths) {
    const having = told.filter(({ strengths }) => strengths.some((strength) => strength.id === id));
    same(having, `attack ${id}`, ({ strengths }) => strengths.find((strength) => strength.id === id));
  }
  const { quantity } = sweepOf(strengths);
  const searches = told.flatMap(({ search }) => search ?? []);
  const { alignments: _, wallSeconds: __, search, ...rest } = first;
  return parseResult(
    withoutOthers({
      ...rest,
      title: distinct(results.map(({ title }) => title)).join(" + "),
      model: distinct(results.map(({ model }) => model)).join(", "),
      task: tasks.join(", "),
      notes: distinct(results.flatMap(({ notes }) => notes)),
      methods: united(told.map(({ methods }) => methods)),
      strengths: quantity === undefined ? strengths : strengths.toSorted((a, b) => a[quantity] - b[quantity]),
      runs: told.flatMap(({ runs }) => runs),
      alignments: results.flatMap(({ alignments }) => alignments),
      ...(results.every(({ wallSeconds }) => wallSeconds !== undefined) && {
        wallSeconds: results.reduce((sum, { wallSeconds = 0 }) => sum + wallSeconds, 0),
      }),
      questions: sharedQuestions(results),
      ...(search && {
        search: {
          ...search,
          ...same(searches, "search", ({ strategy, budget, space }) => ({ strategy, budget, space })),
          trials: searches.flatMap(({ trials }) => trials),
          found: searches.flatMap(({ found }) => found),
        },
      }),
    }),
  );
}
