export { swiglu } from "./activations.ts";
export { type Attention, attention, causalMask, type Grid, maskOf, pack, unpack } from "./attention.ts";
export { linearCrossEntropy } from "./loss.ts";
export { type Llama3Scaling, rotaryFrequencies, rotaryTables } from "./rotary.ts";
