export { countLabelled, IGNORE } from "../formats/labels.ts";
export type { Architecture, Attend, Forward, Model, Where } from "./architecture.ts";
export { type Batch, batchOf, batchTypes, type Example, packBatch } from "./batch.ts";
export {
  freshLora,
  type LoadedModel,
  loadModel,
  loraScale,
  mergeAdapter,
  type NamedWeights,
  readLora,
} from "./load.ts";
export { type LabelledTokens, type LossOptions, labelledHits, tokenLoss, type Weigh } from "./loss.ts";
export { mergeLora } from "./merge.ts";
export { blocksOf, type Module, moduleOf, type Place, partOf, type Role } from "./modules.ts";
export { type PaddedBatch, packPadded, paddedTypes } from "./padded.ts";
export { ARCHITECTURES, createModel } from "./registry.ts";
export { packRows, type Rows, rowsOf, rowTypes } from "./rows.ts";
export { hiddenStates, labelledStates, outputsAt, paddedStates, within } from "./states.ts";
export { type Adapter, type Weights, weightsOf } from "./weights.ts";
