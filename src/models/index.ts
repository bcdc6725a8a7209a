export type { Architecture, Attend, Forward, Model } from "./architecture.ts";
export {
  type Batch,
  batchOf,
  batchSpec,
  type Example,
  hiddenStates,
  IGNORE,
  type LossOptions,
  labelledStates,
  packBatch,
  tokenLoss,
} from "./batch.ts";
export {
  freshLora,
  type LoadedModel,
  loadModel,
  loraScale,
  mergeAdapter,
  type NamedWeights,
  readLora,
} from "./load.ts";
export { mergeLora } from "./merge.ts";
export { ARCHITECTURES, createModel } from "./registry.ts";
