import type { ExperimentContext } from "../experiments/experiment.ts";
import { WORKER } from "../experiments/in-child.ts";
import { type ExperimentResult, renderTerminalTable } from "../report/index.ts";
import type { CommandContext } from "./command.ts";
import { runLong } from "./long-run.ts";

/** Runs an experiment in worker processes, with its pieces shown, and prints the table. */
export async function runExperimentCommand(
  context: CommandContext,
  out: string,
  job: (context: ExperimentContext) => Promise<ExperimentResult>,
): Promise<void> {
  // What is done is not done again, so the same command goes on.
  const stop = { onSignal: "finishing this step, saving and stopping", resume: context.typed };
  const result = await runLong(context, stop, (following) => job({ ...following, worker: WORKER }));
  if (result === undefined) return;
  context.output.result({ result, report: `${out}/report.html` }, () =>
    [renderTerminalTable(result), `Report: ${out}/report.html`].join("\n"),
  );
}
