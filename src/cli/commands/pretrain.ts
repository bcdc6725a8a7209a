import { inChild } from "../../experiments/in-child.ts";
import { PretrainOptions } from "../../stages/pretrain.ts";
import { defineCommand } from "../command.ts";
import { runTrainingCommand } from "../training-command.ts";

/** `booster pretrain` */
export const command = defineCommand({
  details: `Trains the bundled base model from scratch on text of the bundled world, on one thread of the CPU. The result is the same bit
for bit on processors with the same vector instructions. Ctrl-C saves and stops; --resume goes on.`,
  examples: ["booster pretrain --out assets/world  # make the bundled model again, in its place"],
  options: PretrainOptions,
  run: (options, context) => runTrainingCommand(context, (following) => inChild("pretrain", options, following)),
});
