import { inChild } from "../../experiments/in-child.ts";
import { TrainModeratorOptions } from "../../stages/train-moderator.ts";
import { defineCommand } from "../command.ts";
import { figureRows } from "../figures.ts";
import { resumed, runLong } from "../long-run.ts";
import { columns } from "../output.ts";

/** `booster moderator train` */
export const command = defineCommand({
  details: `Trains a moderator on answers with verdicts: a language model of any family gets a head for kinds of harm, or for harmful or not.
What comes out is a Hugging Face folder (...ForSequenceClassification) in the run's, with its figures on prompts that it was not
trained on. Rows: prompt, answer (or response), harmful (or is_safe), and category where kinds of harm are told apart.`,
  examples: [
    "booster moderator train --run runs/moderator --model models/smollm2 --data labelled.jsonl  # LoRA, then merged",
    "booster moderator train --run runs/moderator --model assets/world --data world/labelled-3.jsonl --tune full --learning-rate 1e-3  # in the bundled world",
  ],
  options: TrainModeratorOptions,
  async run(options, context) {
    const stop = { onSignal: "finishing this step, saving and stopping", resume: resumed(context.typed) };
    const found = await runLong(context, stop, (following) => inChild("moderator-train", options, following));
    if (found === undefined) return;
    const { heldOut } = found;
    const stopped = found.outcome === "stopped";
    context.output.result({ ...found, ...(stopped ? { resume: stop.resume } : {}) }, () =>
      heldOut === undefined
        ? `Stopped and saved after step ${found.step}. To go on:\n  ${stop.resume}`
        : [
            "On held-out prompts:",
            columns(figureRows(heldOut)),
            `\nmodel: ${found.model}\nTo ask it: --moderator sequence-classifier --moderator.model ${options.run}`,
          ].join("\n"),
    );
  },
});
