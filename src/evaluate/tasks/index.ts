import { BoosterError, rowNamed } from "../../errors.ts";
import { type Rate, rate } from "../rate.ts";
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
 * Fine-tuning accuracy (FA): the share of right answers.
 *
 * @throws {BoosterError} `ANSWER_COUNT` when answers and gold outputs differ in number.
 * @example
 * accuracy(taskMetric("sst2"), ["positive", "good"], ["positive", "positive"]).percent; // 50
 */
export function accuracy(task: TaskMetric, answers: readonly string[], golds: readonly string[]): Rate {
  if (answers.length !== golds.length) {
    throw new BoosterError("ANSWER_COUNT", `answers and gold outputs of ${task.name} do not match up`, {
      expected: `${golds.length} answers`,
      found: `${answers.length}`,
    });
  }
  return rate(golds.filter((gold, i) => task.correct(answers[i] ?? "", gold)).length, golds.length);
}
