import { instructionExample, textOf } from "../examples.ts";
import { answerOf, labelMetric, type Task } from "./task.ts";

const INSTRUCTION = "Analyze the sentiment of the input, and respond only positive or negative";
const SPELLINGS = { negative: ["negative", "Negative"], positive: ["positive", "Positive"] };

/**
 * SST-2 (Socher et al., EMNLP 2013), as Booster's reference code words it and scores it (`sst2/pred_eval.py`): the answer is exactly
 * "positive" or "Positive" (resp. negative). Columns: sentence, label 0/1.
 */
export const sst2: Task = {
  about: "SST-2: sentiment of a sentence from a film review",
  hub: "hf-data:stanfordnlp/sst2:train",
  role: "benign",
  layouts: [["sentence", "label"]],
  metric: labelMetric(SPELLINGS),
  example: (row) =>
    instructionExample(row, INSTRUCTION, answerOf(row, "label", Object.keys(SPELLINGS)), textOf(row, "sentence")),
};
