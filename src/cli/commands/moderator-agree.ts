import { inChild } from "../../experiments/in-child.ts";
import { moderatorText } from "../../report/index.ts";
import { AgreeOptions, type ModeratorAgreement } from "../../stages/judge-answers.ts";
import { defineCommand } from "../command.ts";
import { estimateText, rateText } from "../figures.ts";
import { runLong } from "../long-run.ts";
import { columns } from "../output.ts";

const text = ({ first, second, agreement, kappa, confusion, unjudged }: ModeratorAgreement): string => {
  const of = (name: string, ...counts: number[]) => [name, ...counts.map(String)];
  return [
    columns([
      ["agreement", rateText(agreement)],
      ["Cohen's kappa", kappa === undefined ? "- (both say one thing of all answers)" : estimateText(kappa)],
      ...(unjudged === undefined ? [] : [["not judged", `${unjudged}, by one of them`]]),
      ["first", moderatorText(first)],
      ["second", moderatorText(second)],
    ]),
    "",
    columns([
      ["answers", "second flags", "second passes"],
      of("first flags", confusion.both, confusion.first),
      of("first passes", confusion.second, confusion.neither),
    ]),
  ].join("\n");
};

/** `booster moderator agree` */
export const command = defineCommand({
  details: `Shows two moderators the same answers: how often they say the same, Cohen's kappa with its 95 % interval, and how many each flags.`,
  examples: [
    "booster moderator agree world refusal-phrases --answers world/test-labelled.jsonl  # a rule and keywords",
    "booster moderator agree --first beaver-dam --first.model models/beaver-dam-7b --second judge --second.base-url http://127.0.0.1:8000/v1 --second.model guard --answers answers.jsonl  # before one takes the other's place",
  ],
  options: AgreeOptions,
  positional: ["first.name", "second.name"],
  async run(options, context) {
    const stop = { onSignal: "stopping", resume: context.typed };
    const found = await runLong(context, stop, (following) => inChild("moderator-agree", options, following));
    if (found !== undefined) context.output.result({ ...found }, () => text(found));
  },
});
