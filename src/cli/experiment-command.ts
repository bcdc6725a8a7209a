import type { ExperimentContext } from "../experiments/experiment.ts";
import { WORKER } from "../experiments/in-child.ts";
import { type ExperimentResult, renderTerminalTable } from "../report/index.ts";
import type { Event } from "../train/index.ts";
import type { CommandContext } from "./command.ts";
import { servePage } from "./experiment-page.ts";
import { runLong } from "./long-run.ts";

/** Runs an experiment in worker processes, with its pieces shown, and prints the table. */
export async function runExperimentCommand(
  context: CommandContext,
  out: string,
  job: (context: ExperimentContext) => Promise<ExperimentResult>,
  port?: number,
): Promise<void> {
  const page = port === undefined ? undefined : await servePage(out, port);
  if (page !== undefined) context.output.progress.show({ type: "notice", text: `watch it at ${page.url}` });
  // What is done is not done again, so the same command goes on.
  const stop = { onSignal: "finishing this step, saving and stopping", resume: context.typed };
  try {
    const result = await runLong(context, stop, (following) => {
      const emit = (event: Event): void => {
        page?.follow(event);
        following.emit?.(event);
      };
      return job({ ...following, worker: WORKER, ...(page === undefined ? {} : { emit, soFar: page.show }) });
    });
    if (result === undefined) return;
    page?.show(result);
    context.output.result({ result, report: `${out}/report.html` }, () =>
      [renderTerminalTable(result), `Report: ${out}/report.html`].join("\n"),
    );
  } finally {
    await page?.close();
  }
}
