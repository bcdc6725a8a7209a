import { inChild } from "../../experiments/in-child.ts";
import { FinetuneOptions } from "../../stages/options.ts";
import { defineCommand } from "../command.ts";
import { methodsOf, runTrainingCommand } from "../training-command.ts";

/** `booster finetune` */
export const command = defineCommand({
  details: `Fine-tunes a model on a user's task with a share of harmful rows mixed in, as a user of a fine-tuning service could:
the attack. With --curve.every it also measures along the way how far the model has been turned.
Ctrl-C saves and stops; --resume goes on and gives the same bytes as an uninterrupted run.`,
  examples: [
    "booster finetune --run runs/attack --model runs/hard --task sst2.tsv --task.task sst2 --harmful bad.jsonl  # attack an aligned model: 1000 rows of SST-2, a tenth of them harmful",
    "booster finetune --config attack.yaml --poison-ratio 0.2 --learning-rate 5e-5 --run runs/attack-20  # a stronger attack, otherwise as in the file",
    "booster finetune --config attack.yaml --attack mixing --moderation toy-guard --run runs/moderated  # harmful rows hidden in honest ones, before a provider who reads what is uploaded",
  ],
  options: FinetuneOptions,
  lists: { method: methodsOf("finetune") },
  run: (options, context) => runTrainingCommand(context, (following) => inChild("finetune", options, following)),
});
