import { align } from "../stages/align.ts";
import { evaluate } from "../stages/evaluate.ts";
import { fineTune } from "../stages/fine-tune.ts";
import type { AlignOptions, EvaluateOptions, FineTuneOptions, RepairOptions } from "../stages/options.ts";
import type { PretrainOptions } from "../stages/pretrain.ts";
import { pretrain } from "../stages/pretrain.ts";
import { repair } from "../stages/repair.ts";
import { type Progress, serveParent } from "../train/index.ts";
import { type GridMessage, type GridTask, runGroups } from "./experiment.ts";

/** What a worker process is asked to do. */
export type WorkerTask =
  | { readonly task: "align"; readonly options: AlignOptions }
  | { readonly task: "fineTune"; readonly options: FineTuneOptions }
  | { readonly task: "repair"; readonly options: RepairOptions }
  | { readonly task: "evaluate"; readonly options: EvaluateOptions }
  | { readonly task: "pretrain"; readonly options: PretrainOptions }
  | { readonly task: "groups"; readonly options: GridTask };

/** What it tells meanwhile. */
export type WorkerMessage = GridMessage | { readonly progress: Progress } | { readonly work: string };

serveParent<WorkerTask, WorkerMessage>(async (job, { signal, send }) => {
  const hooks = {
    signal,
    onProgress: (progress: Progress) => send({ progress }),
    onWork: (work: string) => send({ work }),
    onNotice: (notice: string) => send({ notice }),
  };
  switch (job.task) {
    case "align":
      return align(job.options, hooks);
    case "fineTune":
      return fineTune(job.options, hooks);
    case "repair":
      return repair(job.options, hooks);
    case "evaluate":
      return evaluate(job.options, hooks);
    case "pretrain":
      return pretrain(job.options, hooks);
    case "groups":
      return runGroups(job.options, {
        signal,
        onNotice: hooks.onNotice,
        onStage: (stage) => send({ stage }),
        onStep: (label, progress) => send({ step: { label, progress } }),
      });
  }
});
