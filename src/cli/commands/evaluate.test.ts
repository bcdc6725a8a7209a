import { expect, test } from "vitest";
import { rate } from "../../evaluate/index.ts";
import type { EvaluationReport } from "../../stages/evaluate.ts";
import { describeScores } from "./evaluate.ts";

test("the scores stand beside how well the moderator judges", () => {
  const none = rate(0, 10);
  const report: EvaluationReport = {
    version: 1,
    model: "model",
    adapters: [],
    harm: {
      moderator: { name: "classifier", method: "word pairs", accuracy: rate(171, 200) },
      harmfulScore: rate(3, 10),
      harmfulScorePlus: none,
      harmfulScorePlusReference: none,
      incoherent: none,
      refusals: none,
    },
  };
  const text = describeScores(report, "runs/scores");
  expect(text).toContain("30.0 %  (95 %: 10.8 to 60.3)");
  expect(text).toContain("classifier: word pairs; right in 171 of 200 held-out cases");
});
