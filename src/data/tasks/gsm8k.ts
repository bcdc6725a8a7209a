import { instructionExample, textOf } from "../examples.ts";
import { answerText, type Task } from "./task.ts";

const MARKER = "The final answer is: ";

/**
 * The number that an answer ends in, by the reference's rule: commas dropped; the first number after "The final answer is: ", else the
 * last number of the text; Infinity when it holds none. Source: git-disl/Booster, `gsm8k/pred_eval.py`.
 */
export function finalNumber(text: string): number {
  const plain = text.replaceAll(",", "");
  const numbers = (part: string): string[] => part.match(/-?\d+\.?\d*/g) ?? [];
  const marked = plain.split(MARKER)[1];
  const first = marked === undefined ? undefined : numbers(marked)[0];
  return Number(first ?? numbers(plain).at(-1) ?? Infinity);
}

const goldNumber = (gold: string): number => finalNumber(gold.replace("####", MARKER));

/**
 * GSM8K (Cobbe et al., 2021, arXiv 2110.14168), as Booster's reference code words it. Columns: question, answer. The final numbers
 * of answer and gold are equal as floats; gold may be raw ("#### 18") or already rendered with the marker.
 */
export const gsm8k: Task = {
  about: "GSM8K: school mathematics in words",
  hub: "hf-data:openai/gsm8k:main/train",
  role: "benign",
  metric: {
    golds: "an answer that ends in a number",
    isGold: (gold) => Number.isFinite(goldNumber(gold)),
    correct: (answer, gold) => finalNumber(answerText(answer)) === goldNumber(gold),
    leaks: (answer) => answer.includes(MARKER.trimEnd()),
  },
  example: (row) => instructionExample(row, textOf(row, "question"), textOf(row, "answer").replaceAll("####", MARKER)),
};
