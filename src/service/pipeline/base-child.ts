/** Makes a base, or asks one what a policy asks, in a process of its own: each keeps a thread busy for long. */

import { evaluate } from "../../stages/evaluate.ts";
import type { EvaluateOptions } from "../../stages/options.ts";
import { serveParent } from "../../train/index.ts";
import { type Making, makeBase } from "./add-base.ts";

export type BaseTask = { readonly make: Making } | { readonly evaluate: EvaluateOptions };

serveParent<BaseTask>((task, following) => {
  following.emit({ type: "work", text: "loading", preparing: true });
  return "make" in task ? makeBase(task.make, following) : evaluate(task.evaluate, following);
});
