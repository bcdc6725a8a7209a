import type { CountEntry, ExperimentResult, ScoreName } from "./result.ts";

const SCORES: readonly (readonly [ScoreName, string])[] = [
  ["harmful", "hs"],
  ["harmfulPlus", "hs_plus"],
  ["taskLeakage", "task_leakage"],
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
  return count === undefined ? ["", "", ""] : [(100 * count.count) / count.total, count.count, count.total];
}

/** One line a run, with counts and per cent of every score before and after the attack; empty where nothing was measured. */
export function renderCsv(result: ExperimentResult): string {
  const header = [
    ...["method", "strength", "learning_rate", "steps", "poison_ratio", "seed"],
    ...["before", "after"].flatMap((moment) =>
      SCORES.flatMap(([, name]) => [`${name}_${moment}_percent`, `${name}_${moment}_count`, `${name}_${moment}_total`]),
    ),
  ];
  const lines = result.runs.map((run) => {
    const method = result.methods.find(({ id }) => id === run.method);
    const strength = result.strengths.find(({ id }) => id === run.strength);
    return [
      method?.name ?? run.method,
      strength?.label ?? run.strength,
      strength?.learningRate ?? "",
      strength?.steps ?? "",
      strength?.poisonRatio ?? "",
      run.seed,
      ...([run.before, run.after] as const).flatMap((scores) => SCORES.flatMap(([name]) => columns(scores[name]))),
    ];
  });
  return [header, ...lines].map((line) => `${line.map(field).join(",")}\r\n`).join("");
}
