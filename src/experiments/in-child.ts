import type { StageName, StageOptions, StageResult, Task } from "../stages/stage.ts";
import { type Following, runInChild } from "../train/index.ts";

/** The compiled module that worker processes run. */
export const WORKER = new URL("./worker.js", import.meta.url);

/**
 * One stage in a process of its own, so that this one answers at once whatever the stage computes.
 *
 * @throws {BoosterError} what the stage throws, and `CHILD_KILLED`, `OUT_OF_MEMORY`, `CHILD_CRASHED`
 * @example
 * const outcome = await inChild("align", parseOptions(AlignOptions, options, "align"), { emit: console.log });
 */
export const inChild = <Name extends StageName>(
  stage: Name,
  options: StageOptions<Name>,
  following: Following = {},
  worker: URL | string = WORKER,
): Promise<StageResult<Name>> => runInChild<StageResult<Name>>(worker, { stage, options } satisfies Task, following);
