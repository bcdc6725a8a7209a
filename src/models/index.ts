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
export { ARCHITECTURES, createModel } from "./registry.ts";
