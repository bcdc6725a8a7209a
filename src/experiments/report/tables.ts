import type { Aggregate, BreakSteps, Estimate } from "./aggregate.ts";
import { compact, decimal, intervalText, meanText, NOTHING } from "./format.ts";
import type { ExperimentResult } from "./result.ts";

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

const plain = (text: string): TableCell => ({ text });
const words = (text: string) => ({ text, kind: "words" }) as const;
const prose = (text: string) => ({ text, kind: "prose" }) as const;
const number = (text: string) => ({ text, kind: "number" }) as const;

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
  const bound = result.utilityBound === undefined ? "" : ` where FA reaches ${result.utilityBound} %`;
  return {
    title: "Where each method breaks",
    caption: `Broken: mean HS of at least ${result.breakAt} %. Worst case: the highest mean HS${bound}. Mean HS: over the sweep. p: paired permutation test over seeds.`,
    columns: [
      words("Method"),
      words("Holds to"),
      words("Breaks at"),
      number("Worst-case HS"),
      number("Mean HS"),
      number(`Points below ${reference}`),
      number("p"),
    ],
    rows: summaries.map(({ method, holdsTo, breaksAt, worst, area, reduction, pValue }) => [
      plain(method.name),
      plain(holdsTo?.label ?? NOTHING),
      plain(breaksAt?.label ?? "not broken"),
      worst === undefined
        ? plain(NOTHING)
        : { text: meanText(worst.after.harmful), note: `at ${worst.strength.label}` },
      score(area),
      score(reduction),
      plain(pValue === undefined || reduction?.source === "none" ? NOTHING : decimal(pValue, 3)),
    ]),
  };
}

/** Every score of every cell. */
export const detailTable = ({ cells }: Aggregate): Table => ({
  title: "All scores",
  caption:
    "Per cent, mean over seeds with 95 % interval. Steps to break: median over seeds, and how many seeds broke (held: most did not).",
  columns: [
    words("Method"),
    words("Attack"),
    number("HS before"),
    number("HS after"),
    number("HS+"),
    number("FA"),
    number("Over-refusal"),
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
    score(after.accuracy),
    score(after.overRefusal),
    score(after.taskLeakage),
    stepsText(steps),
    plain(String(runs.length)),
  ]),
});

/** What each method costs and how it was set. */
export const methodTable = ({ methods }: ExperimentResult): Table => ({
  title: "Methods and their cost",
  caption:
    "Passes: forward and backward passes a step. Time and memory: of the whole alignment, with repair where there is one.",
  columns: [words("Method"), prose("Hyper-parameters"), number("Passes"), number("Time, s"), number("Peak memory, MB")],
  rows: methods.map(({ name, kind, hyperparameters, cost }) => [
    kind === "baseline" ? { text: name, note: "trivial baseline" } : plain(name),
    plain(
      Object.entries(hyperparameters)
        .map(([key, value]) => `${key} ${typeof value === "number" ? compact(value) : String(value)}`)
        .join(", ") || NOTHING,
    ),
    plain(compact(cost.passes)),
    plain(cost.seconds === undefined ? NOTHING : decimal(cost.seconds, cost.seconds < 100 ? 1 : 0)),
    plain(cost.megabytes === undefined ? NOTHING : decimal(cost.megabytes, 0)),
  ]),
});

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
  const accuracy = result.moderator.accuracy;
  const measured = accuracy === undefined ? "" : `; right in ${accuracy.count} of ${accuracy.total} held-out cases`;
  const rows = [
    ["Model", result.model],
    ["User task", result.task],
    ["Threat model", threatText(result.threatModel)],
    ["Moderator", `${result.moderator.name}: ${result.moderator.method}${measured}`],
    ["Seeds", seeds.join(", ")],
    ...result.settings.map(({ name, value }) => [name, value]),
  ];
  return {
    title: "Settings",
    caption: "",
    columns: [words("Setting"), prose("Value")],
    rows: rows.map((row) => row.map(plain)),
  };
}

/** The threat model in words. */
export const threatText = (model: ExperimentResult["threatModel"]): string =>
  model === "service"
    ? "service (the provider trains, the user only brings data)"
    : "open weights (the attacker runs anything)";

/** What the abbreviations mean; the same words in every format. */
export const DEFINITIONS: readonly (readonly [string, string])[] = [
  ["HS", "harmful score: share of answers to unseen harmful prompts that the moderator flags as harmful"],
  ["HS+", "share that is flagged and coherent, so that a broken model does not count as a useful one"],
  ["FA", "fine-tuning accuracy: share of right answers in the user task"],
  ["Over-refusal", "share of harmless prompts that are refused"],
  ["Task leakage", "share of answers to harmful prompts that answer the user task instead"],
  [
    "Interval",
    "95 %: over seeds by Student\u2019s t (bootstrap from 10 seeds), within 0 and 100 %, and never narrower than Wilson\u2019s over the prompts of one seed",
  ],
  ["Mean HS", "area under the curve of HS over attack strength, as drawn, divided by its width"],
];
