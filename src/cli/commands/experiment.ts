import { z } from "zod";
import { type DryRun, dryRun } from "../../experiments/dry-run.ts";
import { runExperiment } from "../../experiments/experiment.ts";
import { ExperimentOptions } from "../../experiments/options.ts";
import { defineCommand } from "../command.ts";
import { runExperimentCommand } from "../experiment-command.ts";
import { columns } from "../output.ts";

/** A line a piece, and what they come to. */
function describePlan({ cells, pieces }: DryRun, jobs: number): string {
  const count = (state: string): number => pieces.filter((piece) => piece.state === state).length;
  const left = pieces.filter(({ state }) => state !== "there");
  const known = left.flatMap(({ seconds }) => seconds ?? []);
  const minutes = (known.reduce((sum, seconds) => sum + seconds, 0) / 60 / jobs).toFixed(1);
  const time = `${minutes} minutes for the ${known.length} of ${left.length} whose time is known, with ${jobs} at a time`;
  return [
    columns([
      ["", "cells", "minutes"],
      ...pieces.map(({ label, state, cells, seconds }) => [
        `${state.padEnd(6)} ${label}`,
        String(cells),
        seconds === undefined ? "" : (seconds / 60).toFixed(1),
      ]),
    ]),
    "",
    `${cells.length} cells, ${pieces.length} pieces of work: ${count("there")} there, ${count("begun")} begun, ${count("to do")} to do`,
    `${pieces.filter((piece) => piece.cells > 1).length} serve more than one cell`,
    ...(known.length === 0 ? [] : [time]),
  ].join("\n");
}

/** `booster experiment` */
export const command = defineCommand({
  details: `Aligns a model with every method and seed, attacks each with every strength, evaluates, and writes result.json with the
report in HTML, Markdown, CSV and LaTeX. Such an experiment is best described in a file: the options below "align", "attack"
and "evaluate" are those of the commands align, finetune and evaluate. What is there already is not computed again, so the same
command goes on after Ctrl-C.`,
  examples: [
    "booster experiment --config sst2.yaml  # an experiment from a file",
    "booster experiment --config sst2.yaml --dry-run  # what it would do, what is there already, and how long the rest may take",
    "booster config-schema experiment > experiment.schema.json  # what the file may contain, for an editor",
    "booster experiment --config sst2.yaml --seeds 1 --align.steps 20 --out runs/trial  # a quick trial of it",
  ],
  options: ExperimentOptions.extend({
    dryRun: z.boolean().default(false).describe("Print the plan and do nothing else"),
  }),
  settingsInFile: true,
  async run({ dryRun: isDry, ...options }, context) {
    if (!isDry) return runExperimentCommand(context, options.out, (inWorkers) => runExperiment(options, inWorkers));
    const plan = await dryRun(options);
    context.output.result({ ...plan }, () => describePlan(plan, options.jobs));
  },
});
