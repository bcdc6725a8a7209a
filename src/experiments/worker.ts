import { rowNamed } from "../errors.ts";
import { STAGES, type StageName } from "../stages/stage.ts";
import type { Context } from "../stages/workbench.ts";
import { type Event, serveParent } from "../train/index.ts";
import { type GridTask, runGroups } from "./experiment.ts";

/** What a worker process is asked to do. */
export type Task = GridTask | { readonly stage: StageName; readonly options: unknown };

serveParent<Task, Event>((task, { signal, send: emit }) => {
  if ("groups" in task) return runGroups(task, { signal, emit });
  const stage: { run(options: never, context: Context): Promise<unknown> } = rowNamed(
    STAGES,
    task.stage,
    "INTERNAL",
    "no such stage",
  );
  return stage.run(task.options as never, { signal, emit });
});
