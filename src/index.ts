/**
 * What the commands do, as functions. Parts to build with are under sub-paths of the package: `autodiff`, `runtime`, `models`, `methods`, ...
 *
 * @example
 * import { align, bundledModel, writeWorldData } from "booster-align";
 *
 * writeWorldData("world", [3]);
 * await align({ run: "runs/mine", model: bundledModel(), alignment: "world/alignment-3.jsonl", steps: 20 });
 */
export { BoosterError } from "./errors.ts";
export { DemoOptions, demo, demoExperiment } from "./experiments/demo.ts";
export { type ExperimentContext, runExperiment as experiment } from "./experiments/experiment.ts";
export { inChild } from "./experiments/in-child.ts";
export { ExperimentOptions } from "./experiments/options.ts";
export { fetchReference } from "./hub/fetch.ts";
export * from "./report/index.ts";
export { align } from "./stages/align.ts";
export { ablate } from "./stages/analysis/ablate.ts";
export { beat } from "./stages/analysis/beat.ts";
export { drift } from "./stages/analysis/drift.ts";
export { findSafetyLayers } from "./stages/analysis/safety-layers.ts";
export { type Estimate, estimate, type Fit } from "./stages/estimate.ts";
export { type EvaluationReport, evaluate, readEvaluation } from "./stages/evaluate.ts";
export { type Exported, ExportOptions, exportModel } from "./stages/export/export.ts";
export { finetune } from "./stages/finetune.ts";
export { agree, testModerator } from "./stages/judge-answers.ts";
export {
  AlignOptions,
  EvaluateOptions,
  FinetuneOptions,
  parseOptions,
  RepairOptions,
  TrainingOptions,
} from "./stages/options.ts";
export { bundledModel } from "./stages/package-root.ts";
export { PretrainOptions, pretrain } from "./stages/pretrain.ts";
export { type RepairOutcome, type RepairReport, readRepair, repair } from "./stages/repair.ts";
export { STAGES } from "./stages/stage.ts";
export { trainModerator } from "./stages/train-moderator.ts";
export type { TrainingOutcome } from "./stages/training-run.ts";
export { type Context, type StartingPoint, Workbench } from "./stages/workbench.ts";
export { WORLD_FILES, writeWorldData } from "./stages/world-files.ts";
export type { Event, Following } from "./train/event.ts";
