import { runExperiment } from "../../experiments/experiment.ts";
import { ExperimentOptions } from "../../experiments/options.ts";
import { DEFENCES } from "../../methods/registry.ts";
import { defineCommand } from "../command.ts";
import { runExperimentCommand } from "../experiment-command.ts";
import {
  ATTACK_OPTIONS,
  METHOD_OPTIONS,
  MODERATION_OPTIONS,
  MODERATOR_OPTIONS,
  OPTIMIZER_OPTIONS,
} from "../training-command.ts";

/** `booster experiment` */
export const experiment = defineCommand({
  details: `Aligns a model with every method and seed, attacks each with every strength, evaluates, and writes result.json with the
report in HTML, Markdown, CSV and LaTeX. Such an experiment is best described in a file: the options below "align", "attack"
and "evaluate" are those of the commands align, finetune and evaluate. What is there already is not computed again, so the same
command goes on after Ctrl-C.`,
  examples: [
    ["booster experiment --config sst2.yaml", "an experiment from a file"],
    ["booster config-schema experiment > experiment.schema.json", "what the file may contain, for an editor"],
    ["booster experiment --config sst2.yaml --seeds 1 --align.steps 20 --out runs/trial", "a quick trial of it"],
  ],
  options: ExperimentOptions,
  named: [
    { group: "methods.*.method", rows: DEFENCES.rows, fileOnly: true },
    { group: "methods.*.method.*", rows: DEFENCES.rows, fileOnly: true },
    { ...METHOD_OPTIONS, group: "attack.method", fileOnly: true },
    ...["attack.attack", "strengths.*.attack"].map((group) => ({ ...ATTACK_OPTIONS, group, fileOnly: true as const })),
    ...["align.optimizer", "attack.optimizer", "strengths.*.optimizer"].map((group) => ({
      ...OPTIMIZER_OPTIONS,
      group,
      fileOnly: true as const,
    })),
    { ...MODERATION_OPTIONS, group: "attack.moderation", fileOnly: true },
    { ...MODERATOR_OPTIONS, group: "attack.curve.moderator", fileOnly: true },
    { ...MODERATOR_OPTIONS, group: "evaluate.moderator", fileOnly: true },
  ],
  run: (options, context) =>
    runExperimentCommand(context, options.out, (inWorkers) => runExperiment(options, inWorkers)),
});
