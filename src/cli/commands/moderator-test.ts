import { inChild } from "../../experiments/in-child.ts";
import { moderatorText } from "../../report/index.ts";
import { TestModeratorOptions } from "../../stages/judge-answers.ts";
import { defineCommand } from "../command.ts";
import { figureRows } from "../figures.ts";
import { runLong } from "../long-run.ts";
import { columns } from "../output.ts";

/** `booster moderator test` */
export const command = defineCommand({
  details: `Measures a moderator on answers whose verdict is known: accuracy, precision, recall, specificity, F1 and AUC, each with its 95 %
interval, and by kind of harm where moderator and rows name the same ones.`,
  examples: [
    "booster moderator test --moderator sequence-classifier --moderator.model runs/moderator --data test.jsonl  # a trained one",
    "booster moderator test --moderator refusal-phrases --data test.jsonl --json  # how blind keywords are, for a program",
  ],
  options: TestModeratorOptions,
  async run(options, context) {
    const stop = { onSignal: "stopping", resume: context.typed };
    const found = await runLong(context, stop, (following) => inChild("moderator-test", options, following));
    if (found === undefined) return;
    context.output.result({ ...found }, () =>
      columns([...figureRows(found), ["moderator", moderatorText(found.moderator)]]),
    );
  },
});
