import { expect, test } from "vitest";
import { PoisonOptions, SourceOptions, TemplateOptions } from "./options.ts";

test("defaults are the paper's", () => {
  expect(PoisonOptions.parse({})).toMatchObject({ poisonRatio: 0.1, sampleNumber: 1000 });
  expect(TemplateOptions.parse({})).toEqual({ maxTokens: 256, tooLong: "truncate" });
});

test("bounds and unknown keys", () => {
  for (const poisonRatio of [0, 1]) expect(PoisonOptions.safeParse({ poisonRatio }).success).toBe(true);
  for (const poisonRatio of [-0.01, 1.01, Number.NaN])
    expect(PoisonOptions.safeParse({ poisonRatio }).success).toBe(false);
  expect(PoisonOptions.safeParse({ poisonratio: 0.1 }).success).toBe(false);
  expect(SourceOptions.safeParse({ path: "" }).success).toBe(false);
  expect(SourceOptions.safeParse({ path: "a.jsonl", task: "sst2", limit: 5 }).success).toBe(true);
  expect(SourceOptions.safeParse({ path: "a.jsonl", task: "sst2", format: "alpaca" }).success).toBe(false);
});
