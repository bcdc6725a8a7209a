import { MODERATORS } from "../evaluate/index.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { METHODS } from "../methods/registry.ts";
import { OPTIMIZERS } from "../optim/index.ts";
import { GUARDS } from "../stages/guards.ts";
import type { TrainingOutcome } from "../stages/training-run.ts";
import type { Following } from "../train/event.ts";
import type { CommandContext, NamedOptions } from "./command.ts";
import { resumed, runLong } from "./long-run.ts";

/** The settings behind `--method`. */
export const METHOD_OPTIONS: NamedOptions = {
  group: "method",
  rows: METHODS.rows,
};

/** These for a command of one stage. Plain SFT is for both. */
export const methodsOf = (stage: "align" | "finetune"): NamedOptions => ({
  ...METHOD_OPTIONS,
  listed: METHODS.rows.filter((row) => row.name === "sft" || row.stage === stage).map(({ name }) => name),
});

/** The settings behind `--moderator`. */
export const MODERATOR_OPTIONS: NamedOptions = { group: "moderator", rows: MODERATORS.rows };

/** The settings behind `--attack`. */
export const ATTACK_OPTIONS: NamedOptions = { group: "attack", rows: ATTACKS.rows };

/** The settings behind `--optimizer`. */
export const OPTIMIZER_OPTIONS: NamedOptions = { group: "optimizer", rows: OPTIMIZERS.rows };

/** The settings behind `--moderation`. */
export const MODERATION_OPTIONS: NamedOptions = { group: "moderation", rows: GUARDS.rows };

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
