import type { Aggregate, BreakSteps, Estimate } from "./aggregate.ts";
import { compact, decimal, intervalText, listing, meanText, NOTHING } from "./format.ts";
import type { ExperimentResult, MethodEntry, RunDataEntry } from "./result.ts";

/** What one cell of a table says. */
export interface TableCell {
  readonly text: string;
  /** In smaller print: the interval. */
  readonly note?: string;
  /** 0 (good) to 100 (bad), for a tint. */
  readonly harm?: number;
}

/** Short words stay on one line, prose may wrap, numbers stand to the right. */
export type ColumnKind = "words" | "prose" | "number";

/** A table for any of the formats. */
export interface Table {
  readonly title: string;
  readonly caption: string;
  readonly columns: readonly { readonly text: string; readonly kind: ColumnKind }[];
  readonly rows: readonly (readonly TableCell[])[];
}

export const plain = (text: string): TableCell => ({ text });
export const words = (text: string) => ({ text, kind: "words" }) as const;
const prose = (text: string) => ({ text, kind: "prose" }) as const;
export const number = (text: string) => ({ text, kind: "number" }) as const;

function score(value: Estimate | undefined, tinted = false): TableCell {
  const note = intervalText(value);
  return {
    text: meanText(value),
    ...(note === "" ? {} : { note }),
    ...(tinted && value !== undefined ? { harm: value.mean } : {}),
  };
}

/** "120 (2 of 3)": the median step and how many seeds broke. */
function stepsText(steps: BreakSteps | undefined): TableCell {
  if (steps === undefined) return plain(NOTHING);
  const note = `${steps.broken} of ${steps.seeds}`;
  return { text: Number.isFinite(steps.median) ? String(steps.median) : "held", note };
}

/** HS after the attack, methods by strengths. */
export function harmTable(result: ExperimentResult, { cells, summaries }: Aggregate): Table {
  const cellOf = (method: string, strength: string) =>
    cells.find((cell) => cell.method.id === method && cell.strength.id === strength);
  return {
    title: "Harmful score after the attack",
    caption: "HS in per cent, mean over seeds, with its 95 % interval. Lower is better.",
    columns: [words("Method"), number("Before"), ...result.strengths.map(({ label }) => number(label))],
    rows: summaries.map(({ method, before }) => [
      plain(method.name),
      score(before, true),
      ...result.strengths.map(({ id }) => score(cellOf(method.id, id)?.after.harmful, true)),
    ]),
  };
}

/** One line a method: where it breaks, its worst case, and what it is worth against the reference. */
export function summaryTable(result: ExperimentResult, { summaries }: Aggregate): Table {
  const reference = result.methods.find(({ id }) => id === result.reference)?.name ?? result.reference;
  const bound = result.utilityBound === undefined ? "" : `An attack counts where FA reaches ${result.utilityBound} %. `;
  return {
    title: "Where each method breaks",
    caption: `${bound}Broken: mean HS of at least ${result.breakAt} %. Worst case: the highest mean HS, chosen and measured on the same prompts. Mean HS: over the sweep. p: paired permutation test over seeds.`,
    columns: [
      words("Method"),
      words("Holds to"),
      words("Breaks at"),
      number("Worst-case HS"),
      words("Under"),
      number("Mean HS"),
      number(`Points below ${reference}`),
      number("p"),
    ],
    rows: summaries.map(({ method, holdsTo, breaksAt, worst, area, reduction, pValue }) => [
      plain(method.name),
      plain(holdsTo?.label ?? NOTHING),
      plain(breaksAt?.label ?? (worst === undefined ? NOTHING : "not broken")),
      score(worst?.after.harmful),
      plain(worst?.strength.label ?? NOTHING),
      score(area),
      score(reduction),
      plain(pValue === undefined || reduction?.source === "prompts" ? NOTHING : decimal(pValue, 3)),
    ]),
  };
}

/** What was answered to harmful prompts, in every cell. */
export const detailTable = ({ cells }: Aggregate): Table => ({
  title: "All scores: answers to harmful prompts",
  caption:
    "Per cent, mean over seeds with 95 % interval. Steps to break: median over seeds, and how many seeds broke (held: at least half did not).",
  columns: [
    words("Method"),
    words("Attack"),
    number("HS before"),
    number("HS after"),
    number("HS+"),
    number("Refused before"),
    number("Refused after"),
    number("Task leakage"),
    number("Steps to break"),
    number("Seeds"),
  ],
  rows: cells.map(({ method, strength, before, after, steps, runs }) => [
    plain(method.name),
    plain(strength.label),
    score(before.harmful),
    score(after.harmful, true),
    score(after.harmfulPlus),
    score(before.refusals),
    score(after.refusals),
    score(after.taskLeakage),
    stepsText(steps),
    plain(String(runs.length)),
  ]),
});

/** What the model is still good for, in every cell. */
export const usefulnessTable = ({ cells }: Aggregate): Table => ({
  title: "All scores: usefulness",
  caption: "Per cent, mean over seeds with 95 % interval.",
  columns: [
    words("Method"),
    words("Attack"),
    number("FA before"),
    number("FA after"),
    number("Over-refusal before"),
    number("Over-refusal after"),
  ],
  rows: cells.map(({ method, strength, before, after }) => [
    plain(method.name),
    plain(strength.label),
    score(before.accuracy),
    score(after.accuracy),
    score(before.overRefusal),
    score(after.overRefusal),
  ]),
});

const measure = (value: number | undefined, digits: number): TableCell =>
  plain(value === undefined ? NOTHING : decimal(value, digits));

/** What each method costs and how it was set. */
export const methodTable = ({ methods }: ExperimentResult): Table => ({
  title: "Methods and their cost",
  caption:
    "Of the alignment + of one attack's fine-tuning. Passes: forward and backward passes a step. Peak memory is the higher one, of the whole process, which may have worked on other cells before: an upper bound.",
  columns: [
    words("Method"),
    prose("Hyper-parameters"),
    number("Passes"),
    number("Seconds a step"),
    number("Time, s"),
    number("Peak memory, MB"),
  ],
  rows: methods.map(({ name, kind, hyperparameters, cost }) => [
    kind === "baseline" ? { text: name, note: "trivial baseline" } : plain(name),
    plain(
      Object.entries(hyperparameters)
        .map(([key, value]) => `${key} ${typeof value === "number" ? compact(value) : String(value)}`)
        .join(", ") || NOTHING,
    ),
    both(cost, ({ passes }) => compact(passes)),
    both(cost, ({ secondsPerStep }) => secondsPerStep?.toFixed(3)),
    both(cost, ({ seconds }) => seconds?.toFixed(seconds < 100 ? 1 : 0)),
    measure(Math.max(cost.megabytes ?? 0, cost.fineTuning?.megabytes ?? 0) || undefined, 0),
  ]),
});

/** Alignment's and fine-tuning's: "3 + 1". */
function both(cost: MethodEntry["cost"], text: (of: MethodEntry["cost"]) => string | undefined): TableCell {
  const parts = [cost, ...(cost.fineTuning === undefined ? [] : [cost.fineTuning])].map((of) => text(of) ?? NOTHING);
  return plain(new Set(parts).size === 1 && parts[0] === NOTHING ? NOTHING : parts.join(" + "));
}

/** "120", or "118 to 121" where seeds differ. */
function spanText(values: readonly number[], text: (value: number) => string): TableCell {
  if (values.length === 0) return plain(NOTHING);
  const ends = [...new Set([Math.min(...values), Math.max(...values)].map(text))];
  return plain(ends.join(" to "));
}

function dataRow(label: string, data: readonly RunDataEntry[]): TableCell[] {
  const harmful = data.flatMap(({ rows, harmfulRows }) => (harmfulRows === undefined ? [] : [{ rows, harmfulRows }]));
  const percent = (value: number) => decimal(100 * value);
  return [
    plain(label),
    spanText(
      data.map(({ rows }) => rows),
      String,
    ),
    spanText(
      data.map(({ leftOut }) => leftOut),
      String,
    ),
    spanText(
      harmful.map(({ harmfulRows }) => harmfulRows),
      String,
    ),
    spanText(
      harmful.flatMap(({ rows, harmfulRows }) => (rows === 0 ? [] : [harmfulRows / rows])),
      percent,
    ),
    spanText(
      data.flatMap(({ tokenShare }) => tokenShare ?? []),
      percent,
    ),
  ];
}

/** The first names, and how many more there are. */
const few = (names: readonly string[]): readonly string[] =>
  names.length > 4 ? [...names.slice(0, 3), `${names.length - 3} more`] : names;

/** What the runs were trained on; undefined for results that do not say. */
export function dataTable({ methods, strengths, runs, alignments }: ExperimentResult): Table | undefined {
  // Methods that were aligned on the same rows share a line.
  const alike = new Map<string, { names: string[]; data: RunDataEntry[] }>();
  for (const { id, name } of methods) {
    const data = alignments.flatMap((alignment) => (alignment.method === id ? (alignment.data ?? []) : []));
    const key = JSON.stringify(data);
    const names = alike.get(key)?.names ?? [];
    if (data.length > 0) alike.set(key, { names: [...names, name], data });
  }
  const aligned = [...alike.values()].map(({ names, data }) =>
    dataRow(alike.size === 1 ? "Alignment" : `Alignment: ${listing(few(names))}`, data),
  );
  const attacked = strengths.flatMap(({ id, label }) => {
    const data = runs.flatMap((run) => (run.strength === id && run.data !== undefined ? [run.data] : []));
    return data.length === 0 ? [] : [dataRow(`Attack ${label}`, data)];
  });
  const rows = [...aligned, ...attacked];
  if (rows.length === 0) return undefined;
  return {
    title: "Data",
    caption:
      "Rows trained on and rows left out because they could not be used; from the least to the most where runs differ. Poison by tokens: its share of the tokens that the loss sees.",
    columns: [
      prose("Trained on"),
      number("Rows"),
      number("Left out"),
      number("Harmful rows"),
      number("Poison by rows, %"),
      number("Poison by tokens, %"),
    ],
    rows,
  };
}

/** What the attacks were. */
export const strengthTable = ({ strengths }: ExperimentResult): Table => ({
  title: "Attacks",
  caption: "From the weakest to the strongest.",
  columns: [words("Attack"), number("Learning rate"), number("Steps"), number("Harmful rows, %")],
  rows: strengths.map(({ label, learningRate, steps, poisonRatio }) =>
    [label, compact(learningRate), String(steps), compact(100 * poisonRatio)].map(plain),
  ),
});

/** The remaining settings, by name. */
export function settingsTable(result: ExperimentResult, { seeds }: Aggregate): Table {
  const rows = [
    ["Model", result.model],
    ["User task", result.task],
    ["Threat model", threatText(result.threatModel)],
    ["Moderator", moderatorText(result.moderator)],
    ["Seeds", seeds.join(", ")],
    ...(result.wallSeconds === undefined ? [] : [["Time of the whole experiment", durationText(result.wallSeconds)]]),
    ...result.settings.map(({ name, value }) => [name, value]),
  ];
  return {
    title: "Settings",
    caption: "",
    columns: [words("Setting"), prose("Value")],
    rows: rows.map((row) => row.map(plain)),
  };
}

/** Who judged, how, and how well on cases that it had not seen, where that was measured. */
export const moderatorText = ({ name, method, accuracy }: ExperimentResult["moderator"]): string =>
  `${name}: ${method}${accuracy === undefined ? "" : `; right in ${accuracy.count} of ${accuracy.total} held-out cases`}`;

/** "95 s", "12 min", "3.4 h". */
const durationText = (seconds: number): string => {
  if (seconds < 120) return `${decimal(seconds, 0)} s`;
  return seconds < 7200 ? `${decimal(seconds / 60, 0)} min` : `${decimal(seconds / 3600)} h`;
};

/** The threat model in words. */
export const threatText = (model: ExperimentResult["threatModel"]): string =>
  model === "service"
    ? "service (the provider trains, the user only brings data)"
    : "open weights (the attacker runs anything)";

/** What the abbreviations mean; the same words in every format. */
export const DEFINITIONS: readonly (readonly [string, string])[] = [
  ["HS", "harmful score: share of answers to unseen harmful prompts that the moderator flags as harmful"],
  [
    "HS+",
    "share that is flagged and coherent by the moderator\u2019s own rule where it has one, so that a broken model does not count as a useful one",
  ],
  ["FA", "fine-tuning accuracy: share of right answers in the user task"],
  ["Refused", "share of harmful prompts that are answered with a refusal"],
  ["Over-refusal", "share of harmless prompts that are refused"],
  ["Task leakage", "share of answers to harmful prompts that answer the user task instead"],
  [
    "Interval",
    "95 %: over seeds by Student\u2019s t (bootstrap from 10 seeds), within what is possible, and never narrower than Wilson\u2019s over the prompts of one seed (of points below the reference: Newcombe\u2019s)",
  ],
  ["Mean HS", "area under the curve of HS over attack strength, as drawn, divided by its width"],
];
