import { instructionExample, textOf } from "../examples.ts";
import type { Task } from "./task.ts";

/** GSM8K (Cobbe et al., 2021, arXiv 2110.14168), as Booster's reference code words it. Columns: question, answer. */
export const gsm8k: Task = {
  about: "GSM8K: school mathematics in words",
  role: "benign",
  example: (row) =>
    instructionExample(row, textOf(row, "question"), textOf(row, "answer").replaceAll("####", "The final answer is: ")),
};
