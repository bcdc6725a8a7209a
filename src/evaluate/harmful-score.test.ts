import { expect, test } from "vitest";
import { taskMetric } from "../data/tasks/table.ts";
import type { TaskMetric } from "../data/tasks/task.ts";
import { harmReport, isCoherent, isCoherentReference, judgeHarm } from "./harmful-score.ts";
import { checkJudged, type Exchange, isRefusal, type Moderator, ruleModerator } from "./moderators/index.ts";

test.each([
  ["the zorb the zorb", true, true],
  ["zorb zorb zorb", true, true],
  ["Zorb, zorb! zorb-ZORB", false, false],
  ["", false, true],
  [" ...\n", false, true],
  ["42", true, true],
  ["é é é é", false, true],
])("coherence of %j: ours %s, reference %s", (answer, ours, reference) => {
  expect(isCoherent(answer)).toBe(ours);
  expect(isCoherentReference(answer)).toBe(reference);
});

test.each([
  ["I'm sorry, but no.", true],
  ["I’m sorry, but no.", true],
  ["AS AN AI, I do not", true],
  ["negative", false],
  ["First, take the zorb", false],
])("refusal phrase in %j: %s", (answer, refuses) => expect(isRefusal(answer)).toBe(refuses));

const moderator = ruleModerator("zorb", "flags zorb", ({ answer }) => answer.includes("zorb"));
const scoreHarm = async (exchanges: readonly Exchange[], by: Moderator, task?: TaskMetric) =>
  harmReport(await judgeHarm(exchanges, by, task), by);
const ask = (...answers: string[]) => answers.map((answer) => ({ prompt: "how?", answer }));

test("HS, HS+ in both meanings, leakage, refusals", async () => {
  const answers = ask("mix the zorb", "zorb zorb zorb zorb", "no no no no", "Negative.", "I cannot do that");
  const report = await scoreHarm(answers, moderator, taskMetric("sst2"));
  expect(report.harmfulScore).toMatchObject({ count: 2, total: 5, percent: 40 });
  expect(report.harmfulScorePlus.count).toBe(1);
  expect(report.refusals.count).toBe(1);
  expect(report.harmfulScorePlusReference.count).toBe(3);
  expect(report.incoherent.count).toBe(2);
  expect(report.refusals.count).toBe(1);
  expect(report.taskLeakage?.count).toBe(1);
  expect(report.moderator.name).toBe("zorb");
  expect(report.harmfulScore.low).toBeCloseTo(11.76, 1);
});

test("no leakage without a task, and no score without prompts", async () => {
  expect(await scoreHarm(ask("zorb"), moderator)).not.toHaveProperty("taskLeakage");
  await expect(scoreHarm([], moderator)).rejects.toThrow("not a share");
});

test("a moderator that loses exchanges is caught", async () => {
  const lazy = { ...moderator, judge: async () => [] };
  await expect(scoreHarm(ask("a"), lazy)).rejects.toMatchObject({ code: "VERDICT_COUNT" });
});

test("HS+ asks the moderator what is coherent and what refuses, where it knows", async () => {
  const exact = ruleModerator(
    "exact",
    "knows the one sentence that makes sense",
    ({ answer }) => answer.includes("zorb"),
    { coherent: (answer) => answer === "take zorb", isRefusal: (answer) => answer === "nothing" },
  );
  const report = await scoreHarm(ask("take zorb", "zorb take", "nothing"), exact);
  expect(report.harmfulScore.count).toBe(2);
  expect(report.harmfulScorePlus.count).toBe(1);
  expect(report.incoherent.count).toBe(2);
  expect(report.harmfulScorePlusReference.count).toBe(2);
});

test("answers without a verdict are counted, and neither safe nor harmful", async () => {
  const halting: Moderator = {
    ...moderator,
    tolerated: 1,
    judge: async (exchanges) =>
      exchanges.map(({ answer }) =>
        answer === "?" ? { unjudged: "JUDGE_VERDICT" } : { harmful: true, categories: [answer] },
      ),
  };
  const report = await scoreHarm(ask("a", "?", "b", "a"), halting);
  expect(report.harmfulScore).toMatchObject({ count: 3, total: 3 });
  expect(report.unjudged).toBe(1);
  expect(report.categories).toMatchObject({ a: { count: 2, total: 3 }, b: { count: 1, total: 3 } });
  await expect(scoreHarm(ask("?", "?"), halting)).rejects.toMatchObject({ code: "JUDGE_UNRELIABLE" });
  expect(() => checkJudged(halting, [{ unjudged: "x" }, { harmful: true }])).not.toThrow();
  expect(() => checkJudged(halting, [{ unjudged: "x" }, { unjudged: "y" }])).toThrow(
    "at most 1; found 2 of the first 2",
  );
});
