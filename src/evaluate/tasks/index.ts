import { BoosterError, rowNamed } from "../../errors.ts";
import { agNews } from "./ag-news.ts";
import { gsm8k } from "./gsm8k.ts";
import { sst2 } from "./sst2.ts";
import type { TaskMetric } from "./task.ts";

export { labelTask, type TaskMetric } from "./task.ts";

/** The user tasks that can be scored. */
export const TASK_METRICS = [sst2, agNews, gsm8k] as const satisfies readonly TaskMetric[];

/** The metric of a task by name. Throws `TASK_METRIC_UNKNOWN` with the names that exist. */
export const taskMetric = (name: string): TaskMetric =>
  rowNamed<TaskMetric>(TASK_METRICS, name, "TASK_METRIC_UNKNOWN", "there is no such task metric");

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
