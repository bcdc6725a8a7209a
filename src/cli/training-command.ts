import { METHODS } from "../methods/registry.ts";
import type { TrainingOutcome } from "../stages/training-run.ts";
import type { Following } from "../train/event.ts";
import type { CommandContext } from "./command.ts";
import { resumed, runLong } from "./long-run.ts";

/** Names of the methods that a command of a stage lists. Plain SFT is for both. */
export const methodsOf = (stage: "align" | "finetune"): readonly string[] =>
  METHODS.rows.filter((row) => row.name === "sft" || row.stage === stage).map(({ name }) => name);

/** Runs a training and says how it ended and what to do next. */
export async function runTrainingCommand(
  context: CommandContext,
  job: (following: Following) => Promise<TrainingOutcome>,
): Promise<void> {
  const resume = resumed(context.typed);
  const onSignal = "finishing this step, saving and stopping";
  const outcome = await runLong(context, { onSignal, resume }, job);
  if (outcome === undefined) return;
  const stopped = outcome.outcome === "stopped";
  context.output.result({ ...outcome, ...(stopped ? { resume } : {}) }, () => {
    if (stopped) return `Stopped and saved after step ${outcome.step}. To go on:\n  ${resume}`;
    const made = outcome.adapter === undefined ? `model: ${outcome.model}` : `adapter: ${outcome.adapter}`;
    return `Finished after ${outcome.step} steps.\n${made}\nmetrics: ${outcome.run}/metrics.jsonl`;
  });
}
