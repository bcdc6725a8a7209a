export { countLabelled, IGNORE } from "../formats/labels.ts";
export type { Architecture, Attend, Forward, Model } from "./architecture.ts";
export {
  type Batch,
  batchOf,
  batchSpec,
  type Example,
  hiddenStates,
  type LabelledTokens,
  type LossOptions,
  labelledStates,
  packBatch,
  tokenLoss,
  type Weigh,
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
export { type PaddedBatch, packPadded, paddedOf, paddedSpec, paddedStates } from "./padded.ts";
export { ARCHITECTURES, createModel } from "./registry.ts";
