export { type MaskedOptimizer, masked } from "./masked.ts";
export { type AdamWOptions, adamW, clipByNorm, type Optimizer, type SgdOptions, sgd } from "./optimizer.ts";
export { OPTIMIZERS } from "./registry.ts";
export { SCHEDULES, type Schedule, type ScheduleOptions, schedule } from "./schedule.ts";
