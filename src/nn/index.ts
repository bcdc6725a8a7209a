export { swiglu } from "./activations.ts";
export { attention, causalMask, type Layout, pack, unpack } from "./attention.ts";
export { linear, weight } from "./linear.ts";
export { linearCrossEntropy } from "./loss.ts";
export { type Llama3Scaling, rotaryFrequencies, rotaryTables } from "./rotary.ts";
