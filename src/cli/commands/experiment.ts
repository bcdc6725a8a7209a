import { z } from "zod";
import { type DryRun, dryRun } from "../../experiments/dry-run.ts";
import { runExperiment, runPieces } from "../../experiments/experiment.ts";
import { WORKER } from "../../experiments/in-child.ts";
import { ExperimentOptions } from "../../experiments/options.ts";
import { SlurmOptions } from "../../experiments/runners/slurm/options.ts";
import { requeueThisTask } from "../../experiments/runners/slurm/queue.ts";
import { slurmScripts, submitExperiment } from "../../experiments/runners/slurm/submit.ts";
import { type CommandContext, defineCommand } from "../command.ts";
import { runExperimentCommand } from "../experiment-command.ts";
import { runLong } from "../long-run.ts";
import { columns } from "../output.ts";
import { RECIPE } from "../recipe-source.ts";
import { describeSlurm, thisProgram } from "../slurm-command.ts";

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

/** What a task of a cluster does: told that its time ends, it saves and queues again. */
async function doPieces(options: ExperimentOptions, keys: readonly string[], context: CommandContext): Promise<void> {
  const stop = { onSignal: "finishing this step, saving and stopping", resume: context.typed };
  const done = await runLong(context, stop, async (following) => {
    try {
      await runPieces(options, keys, { ...following, worker: WORKER });
    } catch (error) {
      if (following.signal?.reason === "SIGUSR1") requeueThisTask();
      throw error;
    }
    return true;
  });
  if (done) context.output.result({ outcome: "done", pieces: keys }, () => `Done: ${keys.join(", ")}`);
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
    "booster experiment --config sst2.yaml --runner slurm  # gives it to a cluster; the same again tells how far it is",
    "booster experiment --config sst2.yaml --serve 8700  # watch the report grow in a browser",
    "booster config-schema experiment > experiment.schema.json  # what the file may contain, for an editor",
    "booster experiment --recipe harmful-ratio --scale world  # one of the paper's, see booster recipes",
    "booster experiment --config sst2.yaml --seeds 1 --align.steps 20 --out runs/trial  # a quick trial of it",
  ],
  options: ExperimentOptions.extend({
    dryRun: z.boolean().default(false).describe("Print the plan, with Slurm the scripts, and do nothing else"),
    piece: z.array(z.string()).min(1).optional().describe("Do these pieces of the plan, by their keys, and no report"),
    serve: z
      .int()
      .min(0)
      .max(65_535)
      .optional()
      .describe("Show the report on this port of this host while it is made; 0: any port that is free"),
    runner: z.enum(["local", "slurm"]).default("local").describe("Who computes: this host, or jobs of a Slurm cluster"),
    slurm: SlurmOptions.default({ lines: [] }),
  }),
  settingsInFile: true,
  source: RECIPE,
  async run({ dryRun: isDry, piece, serve, runner, slurm, ...options }, context) {
    const { output } = context;
    if (isDry) {
      const plan = await dryRun(options);
      const scripts = runner === "slurm" ? await slurmScripts(options, slurm, thisProgram()) : [];
      output.result({ ...plan, ...(runner === "slurm" && { scripts }) }, () =>
        [describePlan(plan, options.jobs), ...scripts.map(({ file, text }) => `\n# ${file}\n${text}`)].join("\n"),
      );
      return;
    }
    if (piece !== undefined) return doPieces(options, piece, context);
    if (runner === "slurm") {
      const state = await submitExperiment(options, slurm, thisProgram());
      if (state !== undefined) {
        output.result({ ...state }, () => describeSlurm(state, `${options.out}/slurm`));
        return;
      }
    }
    return runExperimentCommand(context, options.out, (inWorkers) => runExperiment(options, inWorkers), serve);
  },
});
