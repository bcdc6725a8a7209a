import { expect, test } from "vitest";
import { attackOptionsOf } from "./cell-options.ts";
import { ExperimentOptions } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";

const options = ExperimentOptions.parse({
  out: "runs/x",
  model: "model",
  methods: [{ method: "sft" }],
  strengths: [{ learningRate: 1e-5 }],
  align: { alignment: "refusals-{seed}.jsonl", harmful: "harmful.jsonl", avoid: ["test.jsonl"] },
  attack: { task: "task.jsonl", harmful: "attack.jsonl", avoid: ["test.jsonl", "harmful.jsonl"] },
  evaluate: { harmful: "test.jsonl", moderator: "refusal-phrases" },
});

test("a fine-tuning defence reads the alignment's data, apart from what the alignment avoids and not from itself", () => {
  const lisa = attackOptionsOf(options, pipelineOf({ name: "lisa" }), 0, 3);
  expect(lisa).toMatchObject({ alignment: { path: "refusals-3.jsonl" }, defenderAvoid: [{ path: "test.jsonl" }] });
  expect(lisa.defenderHarmful).toBeUndefined();
  const panacea = attackOptionsOf(options, pipelineOf({ name: "panacea" }), 0, 3);
  expect(panacea).toMatchObject({
    defenderHarmful: { path: "harmful.jsonl" },
    defenderAvoid: [{ path: "test.jsonl" }],
  });
  expect(panacea.avoid).toMatchObject([{ path: "test.jsonl" }, { path: "harmful.jsonl" }]);
});

test("plain fine-tuning gets no data of the defender", () => {
  const sft = attackOptionsOf(options, pipelineOf({ name: "sft" }), 0, 3);
  expect([sft.alignment, sft.defenderHarmful, sft.defenderAvoid]).toEqual([undefined, undefined, undefined]);
});
