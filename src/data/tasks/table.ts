import { collectExamples, type InstructionExample } from "../examples.ts";
import { type DataFile, loadRows, type ReadOptions } from "../sources.ts";
import { agnews } from "./agnews.ts";
import { alpacaEval } from "./alpaca-eval.ts";
import { beavertails } from "./beavertails.ts";
import { beavertailsRefusals } from "./beavertails-refusals.ts";
import { gsm8k } from "./gsm8k.ts";
import { safeAnswers } from "./safe-answers.ts";
import { sst2 } from "./sst2.ts";
import type { Task } from "./task.ts";

/** Known data sets; one row each. */
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

/**
 * Loads the examples of a known data set from the user's file.
 *
 * @throws {BoosterError} `DATA_INVALID` and whatever `loadRows` throws
 * @example
 * const { examples } = await loadTask("sst2", "sst2_train.tsv");
 */
export async function loadTask(
  name: TaskName,
  path: string,
  options: Pick<ReadOptions, "kind"> = {},
): Promise<{ readonly examples: InstructionExample[]; readonly files: readonly DataFile[] }> {
  const task: Task = TASKS[name];
  const { rows, files, faults } = await loadRows(path, { layouts: task.layouts ?? [], ...options });
  return { examples: collectExamples(rows, task.example, faults), files };
}
