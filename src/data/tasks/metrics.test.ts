import { expect, test } from "vitest";
import { finalNumber } from "./gsm8k.ts";
import { checkGolds, taskMetric } from "./table.ts";

test.each([
  ["sst2", "positive", "positive", true],
  ["sst2", " Positive\n", "positive", true],
  ["sst2", "POSITIVE", "positive", false],
  ["sst2", "positive.", "positive", false],
  ["sst2", "negative", "positive", false],
  ["sst2", "positive\n\n### Response:\nnegative", "positive", true],
  ["agnews", "World", "World", true],
  ["agnews", "sci", "Sci/Tech", true],
  ["agnews", "Sci/Tech", "Sci/Tech", true],
  ["agnews", "sci/tech", "Sci/Tech", false],
  ["agnews", "World", "Sports", false],
  ["agnews", "toString", "toString", false],
  ["gsm8k", "so 9 * 2 = 18\nThe final answer is: 18", "16 - 7 = 9\n#### 18", true],
  ["gsm8k", "The final answer is: 1,800 dollars, not 5", "The final answer is:  1800", true],
  ["gsm8k", "The final answer is: eighteen", "#### 18", false],
  ["gsm8k", "first 5 then 18.", "#### 18", true],
  ["gsm8k", "no idea", "#### 18", false],
  ["gsm8k", "", "#### 18", false],
])("%s: answer %j to %j is right: %s", (name, answer, gold, right) => {
  expect(taskMetric(name).correct(answer, gold)).toBe(right);
});

test.each([
  ["The final answer is: 3 or 4", 3],
  ["it was 12, The final answer is: unknown", 12],
  ["-3.50 degrees", -3.5],
  ["1,234,567", 1234567],
  ["nothing", Infinity],
  ["The final answer is: The final answer is: 4. Or 5", 5],
])("the final number of %j is %d", (text, expected) => expect(finalNumber(text)).toBe(expected));

test.each([
  ["sst2", "Negative.", true],
  ["sst2", "The mood is negative", false],
  ["agnews", "sci/tech", true],
  ["gsm8k", "The final answer is: 4", true],
  ["gsm8k", "take 4 zorbs", false],
])("%s: %j is leakage: %s", (name, answer, leaks) => expect(taskMetric(name).leaks(answer)).toBe(leaks));

test.each([
  ["sst2", "Positive", "positive"],
  ["agnews", "", "World"],
  ["gsm8k", "no number", "#### 18"],
])("%s: a gold output of %j cannot be scored, and is no mistake of the model", (name, unknown, known) => {
  const metric = taskMetric(name);
  const rows = (...golds: string[]) => golds.map((gold, i) => ({ gold, where: `dev.tsv:${i + 1}` }));
  checkGolds(metric, rows(known));
  expect(() => checkGolds(metric, rows(known, unknown, unknown))).toThrow(/2 of 3 rows \(dev\.tsv:2\)/);
});

test("no task metric of this name", () => {
  expect(() => taskMetric("poetry")).toThrow("expected sst2, agnews, gsm8k; found poetry");
  expect(taskMetric("ag-news")).toBe(taskMetric("agnews"));
});
