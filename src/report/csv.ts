import { aggregate } from "./aggregate.ts";
import { percent } from "./estimate.ts";
import type { CountEntry, ExperimentResult, ScoreName } from "./result.ts";

const SCORES: readonly (readonly [ScoreName, string])[] = [
  ["harmful", "hs"],
  ["harmfulPlus", "hs_plus"],
  ["taskLeakage", "task_leakage"],
  ["refusals", "refusals"],
  ["overRefusal", "over_refusal"],
  ["accuracy", "fa"],
];

/** A field as RFC 4180 wants it. Text that a spreadsheet would run as a formula gets an apostrophe in front (CWE-1236). */
function field(value: string | number): string {
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function columns(count: CountEntry | undefined): (string | number)[] {
  return count === undefined ? ["", "", ""] : [percent(count), count.count, count.total];
}

/**
 * One line a run, with counts and per cent of every score before and after the attack; empty where nothing was measured. The
 * last columns say of its data how many rows were left out and how much is poison, and repeat its method's worst case and the moderator.
 */
export function renderCsv(result: ExperimentResult): string {
  const { summaries } = aggregate(result);
  const header = [
    ...["method", "strength", "learning_rate", "steps", "poison_ratio", "seed"],
    ...["before", "after"].flatMap((moment) =>
      SCORES.flatMap(([, name]) => [`${name}_${moment}_percent`, `${name}_${moment}_count`, `${name}_${moment}_total`]),
    ),
    ...["rows", "rows_left_out", "harmful_rows", "poison_token_share"],
    ...["worst_case_hs", "worst_case_low", "worst_case_high", "worst_case_attack"],
    ...["moderator", "moderator_right_percent", "moderator_right_count", "moderator_right_total"],
  ];
  const lines = result.runs.map((run) => {
    const method = result.methods.find(({ id }) => id === run.method);
    const worst = summaries.find((summary) => summary.method === method)?.worst;
    const strength = result.strengths.find(({ id }) => id === run.strength);
    return [
      method?.name ?? run.method,
      strength?.label ?? run.strength,
      strength?.learningRate ?? "",
      strength?.steps ?? "",
      strength?.poisonRatio ?? "",
      run.seed,
      ...([run.before, run.after] as const).flatMap((scores) => SCORES.flatMap(([name]) => columns(scores[name]))),
      ...[run.data?.rows, run.data?.leftOut, run.data?.harmfulRows, run.data?.tokenShare].map((value) => value ?? ""),
      ...(["mean", "low", "high"] as const).map((part) => worst?.harm[part] ?? ""),
      worst?.under.join("; ") ?? "",
      result.moderator.name,
      ...columns(result.moderator.accuracy),
    ];
  });
  return [header, ...lines].map((line) => `${line.map(field).join(",")}\r\n`).join("");
}
