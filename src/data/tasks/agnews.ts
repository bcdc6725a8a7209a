import { instructionExample, textOf } from "../examples.ts";
import { answerOf, labelMetric, type Task } from "./task.ts";

const SPELLINGS = {
  World: ["World", "world"],
  Sports: ["Sports", "sports"],
  Business: ["Business", "business"],
  "Sci/Tech": ["Sci/Tech", "sci"],
};
const ANSWERS = Object.keys(SPELLINGS);
const INSTRUCTION =
  "Categorize the news article given in the input into one of the 4 categories:\n\nWorld\nSports\nBusiness\nSci/Tech\n";

/**
 * AG News (Zhang et al., NIPS 2015), as Booster's reference code words it and scores it (`agnews/pred_eval.py`): the answer is
 * exactly a class name, or its lower-case short form.
 * Columns: text, label 0-3; or, in the original files, class 1-4, title, description (text = title + blank + description).
 */
export const agnews: Task = {
  about: "AG News: the topic of a news item",
  hub: "hf-data:fancyzhx/ag_news:train",
  role: "benign",
  layouts: [
    ["text", "label"],
    ["class", "title", "description"],
  ],
  metric: labelMetric(SPELLINGS),
  example: (row) =>
    Object.hasOwn(row.values, "class")
      ? instructionExample(
          row,
          INSTRUCTION,
          answerOf(row, "class", ANSWERS, 1),
          `${textOf(row, "title")} ${textOf(row, "description")}`,
        )
      : instructionExample(row, INSTRUCTION, answerOf(row, "label", ANSWERS), textOf(row, "text")),
};
