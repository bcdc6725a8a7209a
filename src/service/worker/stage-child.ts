import { chdir } from "node:process";
import { Workbench } from "../../stages/workbench.ts";
import { serveParent } from "../../train/index.ts";
import type { Work } from "../domain/job.ts";
import { STAGES } from "../pipeline/stages/index.ts";
import type { StageInput } from "../pipeline/stages/stage.ts";

/** A stage to be done, in its folder. */
export interface StageTask {
  readonly stage: Work;
  readonly folder: string;
  readonly input: StageInput;
}

serveParent<StageTask>(async ({ stage, folder, input }, following) => {
  // Names of files are the same on every host, so that a run that is carried to another one has the same description.
  chdir(folder);
  following.emit({ type: "work", text: "loading", preparing: true });
  const bench = new Workbench({ provider: "cpu", threads: input.spec.threads });
  return STAGES[stage](input, { ...following, bench });
});
