import { labelTask } from "./task.ts";

/** SST-2: the answer is exactly "positive" or "Positive" (resp. negative). Source: git-disl/Booster, `sst2/pred_eval.py`. */
export const sst2 = labelTask("sst2", { positive: ["positive", "Positive"], negative: ["negative", "Negative"] });
