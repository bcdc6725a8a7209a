import { existsSync } from "node:fs";
import { BoosterError, rowNamed } from "../../errors.ts";
import { isHubReference } from "../../formats/hub/reference.ts";
import { collectExamples, type InstructionExample } from "../examples.ts";
import { type DataFile, loadRows, type ReadOptions } from "../sources.ts";
import { agnews } from "./agnews.ts";
import { alpacaEval } from "./alpaca-eval.ts";
import { beavertails } from "./beavertails.ts";
import { beavertailsRefusals } from "./beavertails-refusals.ts";
import { gsm8k } from "./gsm8k.ts";
import { safeAnswers } from "./safe-answers.ts";
import { sst2 } from "./sst2.ts";
import type { Task, TaskMetric } from "./task.ts";

/** Known data sets and tasks; one row each. */
export const TASKS = {
  sst2,
  agnews,
  gsm8k,
  "alpaca-eval": alpacaEval,
  beavertails,
  "beavertails-refusals": beavertailsRefusals,
  "safe-answers": safeAnswers,
} as const satisfies Readonly<Record<string, Task>>;

export type TaskName = keyof typeof TASKS;
export const TASK_NAMES = Object.keys(TASKS) as [TaskName, ...TaskName[]];

/** The tasks whose answers can be scored. */
export const TASK_METRICS: readonly TaskMetric[] = Object.entries<Task>(TASKS).flatMap(([name, { metric }]) =>
  metric === undefined ? [] : [{ name, ...metric }],
);

/** Names that version 0.1 had for them. */
export const FORMER_METRICS: Readonly<Record<string, string>> = { "ag-news": "agnews" };

/** The metric of a task by name. Throws `TASK_METRIC_UNKNOWN` with the names that exist. */
export const taskMetric = (name: string): TaskMetric =>
  rowNamed(TASK_METRICS, FORMER_METRICS[name] ?? name, "TASK_METRIC_UNKNOWN", "there is no such task metric");

/**
 * Refuses gold outputs that no answer could ever be right for: they would count as a model's mistakes.
 *
 * @throws {BoosterError} `GOLD_UNKNOWN` naming the first such row
 * @example
 * checkGolds(taskMetric("sst2"), [{ gold: "positive", where: "dev.tsv:1" }]);
 */
export function checkGolds(task: TaskMetric, rows: readonly { readonly gold: string; readonly where: string }[]): void {
  const unknown = rows.filter(({ gold }) => !task.isGold(gold));
  const [first] = unknown;
  if (first === undefined) return;
  throw new BoosterError("GOLD_UNKNOWN", `${task.name} cannot score answers to these task rows`, {
    expected: task.golds,
    found: `something else in ${unknown.length} of ${rows.length} rows`,
    where: first.where,
    hint: "Correct their answers, or score them with another task metric.",
  });
}

/**
 * Loads the examples of a known data set from the user's file.
 *
 * @throws {BoosterError} `DATA_NOT_FOUND`, `DATA_INVALID` and whatever `loadRows` throws
 * @example
 * const { examples } = await loadTask("sst2", "sst2_train.tsv");
 */
export async function loadTask(
  name: TaskName,
  path: string,
  options: Omit<ReadOptions, "layouts"> = {},
): Promise<{ readonly examples: InstructionExample[]; readonly files: readonly DataFile[] }> {
  const task: Task = TASKS[name];
  if (task.hub !== undefined && !/[*?]/.test(path) && !isHubReference(path) && !existsSync(path)) {
    const hint = `It is on the hub: ${task.hub}`;
    throw new BoosterError("DATA_NOT_FOUND", "there is no such data file", { where: path, hint });
  }
  const { rows, files, faults } = await loadRows(path, { layouts: task.layouts ?? [], ...options });
  return { examples: collectExamples(rows, task.example, faults), files };
}
