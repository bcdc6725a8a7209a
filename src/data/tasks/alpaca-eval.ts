import { instructionExample, textOf } from "../examples.ts";
import type { Task } from "./task.ts";

/**
 * AlpacaEval's 805 prompts with a strong model's answers. Columns: instruction, output.
 * The paper trains on rows 0 to 700 and tests on the other 104.
 */
export const alpacaEval: Task = {
  about: "AlpacaEval: mixed instructions with a strong model's answers",
  hub: "hf-data:tatsu-lab/alpaca_eval:alpaca_eval.json",
  role: "benign",
  example: (row) => instructionExample(row, textOf(row, "instruction"), textOf(row, "output")),
};
