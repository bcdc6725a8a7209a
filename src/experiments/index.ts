export * from "../report/index.ts";
export { align } from "../stages/align.ts";
export { findSafetyLayers } from "../stages/analysis/safety-layers.ts";
export { type EvaluationReport, evaluate, readEvaluation } from "../stages/evaluate.ts";
export { fineTune } from "../stages/fine-tune.ts";
export type { Hooks } from "../stages/hooks.ts";
export {
  AlignOptions,
  CurveOptions,
  DeviceChoice,
  EvaluateOptions,
  FineTuneOptions,
  parseOptions,
  RepairOptions,
  TrainingOptions,
} from "../stages/options.ts";
export { bundledModel, packagePath } from "../stages/package-root.ts";
export { PretrainOptions, pretrain } from "../stages/pretrain.ts";
export { type RepairOutcome, type RepairReport, readRepair, repair } from "../stages/repair.ts";
export type { TrainingOutcome } from "../stages/training-run.ts";
export { type StartingPoint, Workbench } from "../stages/workbench.ts";
export { WORLD_FILES, writeWorldData } from "../stages/world-files.ts";
export { DemoOptions, demo, demoExperiment } from "./demo.ts";
export { type ExperimentHooks, type ExperimentProgress, runExperiment } from "./experiment.ts";
export { inChild, WORKER } from "./in-child.ts";
export { ExperimentOptions } from "./options.ts";
