import type { ExperimentHooks, ExperimentProgress } from "../experiments/experiment.ts";
import { WORKER } from "../experiments/in-child.ts";
import { type ExperimentResult, renderTerminalTable } from "../experiments/report/index.ts";
import type { CommandContext } from "./command.ts";
import { runLong } from "./long-run.ts";

/** Runs an experiment in worker processes, with its stages shown, and prints the table. */
export async function runExperimentCommand(
  { output, ...context }: CommandContext,
  out: string,
  job: (hooks: ExperimentHooks) => Promise<ExperimentResult>,
): Promise<void> {
  // What is done is not done again, so the same command goes on.
  const stop = { onSignal: "finishing this step, saving and stopping", resume: context.typed };
  const result = await runLong({ output, ...context }, stop, ({ signal, onNotice }) =>
    job({
      signal,
      onNotice,
      worker: WORKER,
      onStage: (progress) => output.stage({ ...progress }, describe(progress)),
    }),
  );
  if (result === undefined) return;
  output.result({ result, report: `${out}/report.html` }, () =>
    [renderTerminalTable(result), `Report: ${out}/report.html`].join("\n"),
  );
}

function describe({ stagesDone, stages, label, state, secondsLeft }: ExperimentProgress): string {
  const left = secondsLeft === undefined ? [] : [`${timeLeft(secondsLeft)} left`];
  return [`${stagesDone}/${stages}`, `${label}${state === "started" ? " ..." : ` ${state}`}`, ...left].join("  ");
}

const timeLeft = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
