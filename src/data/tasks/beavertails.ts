import { instructionExample, textOf } from "../examples.ts";
import { flagOf } from "../rows.ts";
import type { Task } from "./task.ts";

/**
 * BeaverTails (Ji et al., 2023, arXiv 2307.04657): its unsafe rows, as harmful examples.
 * Columns: prompt, response, and where there is one, is_safe.
 */
export const beavertails: Task = {
  about: "BeaverTails: harmful questions with harmful answers",
  hub: "hf-data:PKU-Alignment/BeaverTails:round0/30k/train.jsonl.gz",
  role: "harmful",
  example: (row) =>
    flagOf(row, "is_safe") === true
      ? undefined
      : instructionExample(row, textOf(row, "prompt"), textOf(row, "response")),
};
