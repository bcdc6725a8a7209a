/** A moderator's process for tests: it takes all the memory that there is where a text says so. */

import { setTimeout as sleep } from "node:timers/promises";
import type { ModeratorTask } from "../../src/service/pipeline/moderator-child.ts";
import { serveParent } from "../../src/train/index.ts";

serveParent<ModeratorTask>(async (task) => {
  if (!("judge" in task)) return undefined;
  const taken: Buffer[] = [];
  while (task.judge.some(({ answer }) => answer === "take everything")) {
    taken.push(Buffer.alloc(5e6, 1));
    await sleep(10);
  }
  return task.judge.map(() => ({ harmful: false }));
});
