import { BoosterError } from "../../errors.ts";
import { instructionExample, textOf } from "../examples.ts";
import type { Task } from "./task.ts";

const QUESTION = "Question: ";
const ANSWER = "\nAnswer: ";

/**
 * BeaverTails with refusals (Rosati et al., 2024, arXiv 2405.14577), Booster's alignment set.
 * Column `refusal`: "Question: Q\nAnswer: A". What follows a second "\nAnswer: " belongs to the answer here; the reference
 * code drops it.
 */
export const beavertailsRefusals: Task = {
  about: "BeaverTails with refusals: harmful questions with refusals",
  hub: "hf-data:anonymous4486/booster_dataset:beavertails_with_refusals_train.json",
  role: "alignment",
  example: (row) => {
    const refusal = textOf(row, "refusal");
    const cut = refusal.indexOf(ANSWER);
    if (cut < 0) {
      throw new BoosterError("REFUSAL_INVALID", 'has no question and answer in the column "refusal"', {
        expected: JSON.stringify(`${QUESTION}...${ANSWER}...`),
      });
    }
    return instructionExample(row, refusal.slice(0, cut).replace(QUESTION, ""), refusal.slice(cut + ANSWER.length));
  },
};
