import type { EvaluationReport } from "../stages/evaluate.ts";
import type { Hooks } from "../stages/hooks.ts";
import type { RepairOutcome } from "../stages/repair.ts";
import type { TrainingOutcome } from "../stages/training-run.ts";
import { runInChild } from "../train/index.ts";
import type { WorkerMessage, WorkerTask } from "./worker.ts";

/** The compiled module that worker processes run. */
export const WORKER = new URL("./worker.js", import.meta.url);

type Result<T extends WorkerTask["task"]> = T extends "evaluate"
  ? EvaluationReport
  : T extends "repair"
    ? RepairOutcome
    : TrainingOutcome;

/**
 * One stage in a process of its own, so that this one answers at once whatever the stage computes.
 *
 * @throws {BoosterError} what the stage throws, and `CHILD_KILLED`, `OUT_OF_MEMORY`, `CHILD_CRASHED`
 * @example
 * const outcome = await inChild("align", parseOptions(AlignOptions, options, "align"), { onProgress });
 */
export function inChild<T extends Exclude<WorkerTask["task"], "groups">>(
  task: T,
  options: Extract<WorkerTask, { task: T }>["options"],
  { onProgress, onWork, onNotice, signal }: Omit<Hooks, "bench"> = {},
  worker: URL | string = WORKER,
): Promise<Result<T>> {
  const onMessage = (message: WorkerMessage) => {
    if ("progress" in message) onProgress?.(message.progress);
    else if ("work" in message) onWork?.(message.work);
    else if ("notice" in message) onNotice?.(message.notice);
  };
  return runInChild<WorkerMessage, Result<T>>(
    worker,
    { task, options },
    { onMessage, ...(signal === undefined ? {} : { signal }) },
  );
}
