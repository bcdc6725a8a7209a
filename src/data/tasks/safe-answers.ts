import { instructionExample, textOf } from "../examples.ts";
import type { Task } from "./task.ts";

/** Unsafe instructions with safe answers (Bianchi et al., 2023, arXiv 2309.07875). Columns: instruction, input, output. */
export const safeAnswers: Task = {
  about: "Safety-tuned LLaMAs: unsafe instructions with safe answers",
  role: "alignment",
  example: (row) => instructionExample(row, textOf(row, "instruction"), textOf(row, "output"), textOf(row, "input")),
};
