import { inChild } from "../../experiments/in-child.ts";
import { AlignOptions } from "../../stages/options.ts";
import { defineCommand } from "../command.ts";
import { methodsOf, runTrainingCommand } from "../training-command.ts";

/** `booster align` */
export const command = defineCommand({
  details: `Trains a LoRA adapter (or all weights) that teaches the base model to refuse: plainly (sft), or so that a later attack
gains little (booster). Everything goes into the run's folder: settings, metrics.jsonl, checkpoints, the adapter.
Ctrl-C saves and stops; --resume goes on and gives the same bytes as an uninterrupted run.`,
  examples: [
    "booster align --run runs/sft --model models/smollm2.gguf --template chat --alignment refusals.json  # the baseline: supervised fine-tuning on refusals",
    "booster align --run runs/hard --model models/smollm2.gguf --method booster --method.lambda 5 --alignment refusals.json --harmful bad.jsonl  # the defence: Booster also simulates the attack, on harmful rows of its own",
    "booster align --config align.yaml --seed 43 --run runs/hard-43  # settings from a file, two of them changed",
    "booster align --config align.yaml --resume  # go on after Ctrl-C, a crash or a reboot",
  ],
  options: AlignOptions,
  lists: { method: methodsOf("align") },
  run: (options, context) => runTrainingCommand(context, (following) => inChild("align", options, following)),
});
