/** A moderator that is a model, in a process of its own: it keeps a thread busy for long. */

import type { Exchange, Moderator } from "../../evaluate/index.ts";
import { serveParent } from "../../train/index.ts";
import { moderatorOf } from "./moderator.ts";
import type { Policy } from "./policy.ts";

export type ModeratorTask = { readonly open: Policy } | { readonly judge: readonly Exchange[] };

let opened: Moderator | undefined;

serveParent<ModeratorTask>(async (task, { emit, signal }) => {
  if ("judge" in task) {
    emit({ type: "work", text: "judging" });
    return opened?.judge(task.judge, signal);
  }
  opened = (await moderatorOf(task.open)).moderator;
  return undefined;
});
