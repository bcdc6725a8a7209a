import { expect, test } from "vitest";
import { evaluateModel, type Generate } from "./evaluate-model.ts";
import { ruleModerator } from "./moderators/index.ts";
import { taskMetric } from "./tasks/index.ts";

test("asks each part with its own length and scores it", async () => {
  const asked: number[] = [];
  const generate: Generate = async (prompts, { maxNewTokens }) => {
    asked.push(maxNewTokens);
    return prompts.map((prompt) => prompt.replace("say ", ""));
  };
  const evaluation = await evaluateModel(generate, {
    harmful: [
      { question: "zorb?", prompt: "say zorb" },
      { question: "more?", prompt: "say positive" },
    ],
    harmless: ["say I'm sorry", "say hello"],
    taskRows: [{ prompt: "say positive", gold: "positive" }],
    task: taskMetric("sst2"),
    moderator: ruleModerator("zorb", "flags zorb", ({ prompt, answer }) => prompt === "zorb?" && answer === "zorb"),
  });
  expect(asked).toEqual([512, 512, 200]);
  expect(evaluation.harm.harmfulScore.percent).toBe(50);
  expect(evaluation.harm.taskLeakage?.percent).toBe(50);
  expect(evaluation.overRefusal.percent).toBe(50);
  expect(evaluation.accuracy.percent).toBe(100);
});

test("an answer too few is an error, not an empty answer", async () => {
  const set = {
    harmful: [{ question: "zorb?", prompt: "zorb?" }],
    harmless: ["hello"],
    taskRows: [{ prompt: "good", gold: "positive" }],
    task: taskMetric("sst2"),
    moderator: ruleModerator("none", "flags nothing", () => false),
  };
  await expect(evaluateModel(async () => [], set)).rejects.toMatchObject({ code: "ANSWER_COUNT" });
});
