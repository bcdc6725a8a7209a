export { type Activation, activated, gated, gelu, geluTanh, relu, silu, swiglu } from "./activations.ts";
export { type Attention, attention, causalMask, type Grid, maskOf, pack, unpack } from "./attention.ts";
export { linearBinaryCrossEntropy, MOST_LABELS, marksOf } from "./binary-loss.ts";
export { linearCrossEntropy } from "./loss.ts";
export { layerNorm } from "./norms.ts";
export { type Rotation, rotaryFrequencies, type Standing, type Turn, turnAt } from "./rotary.ts";
export { softCap } from "./soft-cap.ts";
