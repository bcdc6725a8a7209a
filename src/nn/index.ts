export { type Activation, activated, gated, gelu, geluTanh, relu, silu, swiglu } from "./activations.ts";
export {
  type Again,
  type Attention,
  attention,
  blocksFirst,
  causalMask,
  type Grid,
  maskOf,
  pack,
  unpack,
} from "./attention.ts";
export { linearBinaryCrossEntropy, MOST_LABELS, marksOf } from "./binary-loss.ts";
export { blockAttention } from "./block-attention.ts";
export { linearCrossEntropy } from "./loss.ts";
export { layerNorm } from "./norms.ts";
export { type Rotation, rotaryFrequencies, type Standing, type Turn, turnAt } from "./rotary.ts";
export { softCap } from "./soft-cap.ts";
