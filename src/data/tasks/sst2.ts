import { instructionExample, textOf } from "../examples.ts";
import { answerOf, type Task } from "./task.ts";

const INSTRUCTION = "Analyze the sentiment of the input, and respond only positive or negative";
const ANSWERS = ["negative", "positive"];

/** SST-2 (Socher et al., EMNLP 2013), as Booster's reference code words it. Columns: sentence, label 0/1. */
export const sst2: Task = {
  about: "SST-2: sentiment of a sentence from a film review",
  role: "benign",
  layouts: [["sentence", "label"]],
  answers: ANSWERS,
  example: (row) => instructionExample(row, INSTRUCTION, answerOf(row, "label", ANSWERS), textOf(row, "sentence")),
};
