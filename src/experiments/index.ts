export { align } from "./align.ts";
export { findSafetyLayers } from "./analysis/safety-layers.ts";
export { DemoOptions, demo, demoExperiment } from "./demo.ts";
export { type EvaluationReport, evaluate, readEvaluation } from "./evaluate.ts";
export { type ExperimentHooks, type ExperimentProgress, runExperiment } from "./experiment.ts";
export { fineTune } from "./fine-tune.ts";
export type { Hooks } from "./hooks.ts";
export { inChild, WORKER } from "./in-child.ts";
export {
  AlignOptions,
  CurveOptions,
  DeviceChoice,
  EvaluateOptions,
  ExperimentOptions,
  FineTuneOptions,
  parseOptions,
  RepairOptions,
  TrainingOptions,
} from "./options.ts";
export { bundledModel, packagePath } from "./package-root.ts";
export { PretrainOptions, pretrain } from "./pretrain.ts";
export { type RepairOutcome, type RepairReport, readRepair, repair } from "./repair.ts";
export * from "./report/index.ts";
export type { TrainingOutcome } from "./training-run.ts";
export { type StartingPoint, Workbench } from "./workbench.ts";
export { WORLD_FILES, writeWorldData } from "./world-files.ts";
