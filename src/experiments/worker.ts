import { runTask, type Task } from "../stages/stage.ts";
import { Workbench } from "../stages/workbench.ts";
import { serveParent } from "../train/index.ts";

/** Models stay loaded and programs compiled from one task to the next. */
let bench: Workbench | undefined;

serveParent<Task>((task, following) => {
  bench ??= new Workbench({ provider: "cpu", ...task.options });
  return runTask(task, { ...following, bench });
});
