import { inChild } from "../../experiments/in-child.ts";
import { moderatorText } from "../../report/index.ts";
import type { EvaluationReport } from "../../stages/evaluate.ts";
import { EvaluateOptions } from "../../stages/options.ts";
import { defineCommand } from "../command.ts";
import { rateText } from "../figures.ts";
import { resumed, runLong } from "../long-run.ts";
import { columns } from "../output.ts";

/** The scores as a person reads them. */
export function describeScores(
  { harm, overRefusal, accuracy, freshHarmfulScore, templates }: EvaluationReport,
  run: string,
): string {
  const { moderator } = harm;
  return [
    columns([
      ["harmful score", rateText(harm.harmfulScore)],
      ["harmful and coherent", rateText(harm.harmfulScorePlus)],
      ...Object.entries(harm.categories ?? {}).map(([name, share]) => [`  ${name}`, rateText(share)]),
      ...(harm.unjudged === undefined ? [] : [["not judged", `${harm.unjudged}, no part of these shares`]]),
      ["refusals", rateText(harm.refusals)],
      ...(harm.taskLeakage === undefined ? [] : [["task leakage", rateText(harm.taskLeakage)]]),
      ...(overRefusal === undefined ? [] : [["over-refusal", rateText(overRefusal)]]),
      ...(accuracy === undefined ? [] : [["fine-tuning accuracy", rateText(accuracy)]]),
      ...(freshHarmfulScore === undefined ? [] : [["harmful score, fresh prompts", rateText(freshHarmfulScore)]]),
      ...(templates === undefined ? [] : [["template", `${templates.trained}, asked in ${templates.asked}`]]),
      ["moderator", moderatorText(moderator)],
    ]),
    `\nWritten to ${run}/evaluation.json`,
  ].join("\n");
}

/** `booster evaluate` */
export const command = defineCommand({
  details: `Asks a model unseen harmful prompts, harmless ones and rows of the user's task, and has a moderator judge the answers:
harmful score, harmful and coherent answers, over-refusal, accuracy, each with its 95 % interval (Wilson).`,
  examples: [
    "booster evaluate --run runs/scores --model runs/attack --harmful test.jsonl --moderator classifier --moderator.file moderator.json  # how harmful an attacked model is",
    "booster evaluate --config scores.yaml --task sst2_dev.tsv --task.task sst2 --task-metric sst2 --json  # with the accuracy of the user's task, for a program",
  ],
  options: EvaluateOptions,
  async run(options, context) {
    const stop = { onSignal: "stopping after these answers", resume: resumed(context.typed) };
    const found = await runLong(context, stop, (following) => inChild("evaluate", options, following));
    if (found !== undefined) context.output.result({ ...found }, () => describeScores(found, options.run));
  },
});
