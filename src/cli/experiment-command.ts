import type { ExperimentHooks } from "../experiments/experiment.ts";
import { WORKER } from "../experiments/in-child.ts";
import { type ExperimentResult, renderTerminalTable } from "../report/index.ts";
import type { Progress } from "../train/pace.ts";
import type { CommandContext } from "./command.ts";
import { runLong } from "./long-run.ts";
import type { Output } from "./output.ts";

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
      ...followed(output),
    }),
  );
  if (result === undefined) return;
  output.result({ result, report: `${out}/report.html` }, () =>
    [renderTerminalTable(result), `Report: ${out}/report.html`].join("\n"),
  );
}

/** Shows the stages, and how far those are that are under way. */
export function followed(output: Pick<Output, "stage" | "step">): Pick<ExperimentHooks, "onStage" | "onStep"> {
  const underWay = new Map<string, string>();
  let heading = "";
  return {
    onStage(progress) {
      const { stagesDone, stages, label, state, secondsLeft } = progress;
      if (state !== "started") underWay.delete(label);
      heading = `${stagesDone}/${stages}${secondsLeft === undefined ? "" : ` (${timeLeft(secondsLeft)} left)`}`;
      output.stage({ ...progress }, `${heading}  ${label}${state === "started" ? " ..." : ` ${state}`}`);
    },
    onStep(label, progress) {
      const words = typeof progress === "string" ? progress : stepText(progress);
      underWay.set(label, `${label}  ${words}`);
      const facts = typeof progress === "string" ? { text: progress } : progress;
      output.step({ label, ...facts }, [heading, [...underWay.values()].join(" | ")].join("  "));
    },
  };
}

/** What matters most comes first: a narrow terminal cuts the rest off. */
const stepText = ({ step, totalSteps, loss, tokensPerSecond, secondsLeft }: Progress): string =>
  `step ${step}/${totalSteps}  ${timeLeft(secondsLeft)} left  loss ${loss.toFixed(3)}  ${tokensPerSecond.toFixed(0)} tok/s`;

const timeLeft = (seconds: number): string =>
  seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`;
