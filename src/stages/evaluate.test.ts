import { expect, test } from "vitest";
import { metricOf } from "./evaluate.ts";

test("answers are scored as the known data set says, unless told otherwise", () => {
  const path = "dev.csv";
  expect(metricOf({})).toBeUndefined();
  expect(metricOf({ task: { path, task: "agnews" } })?.name).toBe("agnews");
  expect(metricOf({ task: { path }, taskMetric: "ag-news" })?.name).toBe("agnews");
  expect(metricOf({ task: { path, task: "agnews" }, taskMetric: "sst2" })?.name).toBe("sst2");
  for (const task of [{ path }, { path, task: "alpaca-eval" as const }]) {
    expect(() => metricOf({ task })).toThrow(expect.objectContaining({ code: "TASK_METRIC_MISSING" }));
  }
});
