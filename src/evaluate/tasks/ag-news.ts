import { labelTask } from "./task.ts";

/** AG News: the answer is exactly a class name, or its lower-case short form. Source: git-disl/Booster, `agnews/pred_eval.py`. */
export const agNews = labelTask("ag-news", {
  World: ["World", "world"],
  Sports: ["Sports", "sports"],
  Business: ["Business", "business"],
  "Sci/Tech": ["Sci/Tech", "sci"],
});
