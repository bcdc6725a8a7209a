import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import type { z } from "zod";
import { rate } from "../evaluate/index.ts";
import type { EvaluationReport } from "../stages/evaluate.ts";
import { parseOptions } from "../stages/options.ts";
import { assemble, type CellResult } from "./assemble.ts";
import { ExperimentOptions } from "./options.ts";

const run = mkdtempSync(join(tmpdir(), "assemble-"));
afterAll(() => rmSync(run, { recursive: true }));
const encoded = { usable: 10, unusable: 0 };
writeFileSync(join(run, "cost.json"), JSON.stringify({ steps: 20 }));
writeFileSync(join(run, "metrics.jsonl"), "");
writeFileSync(join(run, "data.json"), JSON.stringify({ mix: { ...encoded, harmfulRows: 1, tokenShare: 0.5 } }));

const some = rate(1, 4);
const report: EvaluationReport = {
  version: 1,
  model: "m",
  adapters: [],
  harm: {
    moderator: { name: "world", method: "a rule" },
    harmfulScore: some,
    harmfulScorePlus: some,
    harmfulScorePlusReference: some,
    incoherent: some,
    refusals: some,
  },
};

function assembled(change: Partial<z.input<typeof ExperimentOptions>>, attack: object = {}) {
  const options = parseOptions(
    ExperimentOptions,
    {
      out: join(run, ".."),
      model: "models/m",
      methods: [{ method: "sft" }],
      strengths: [{ learningRate: 1e-5 }],
      seeds: [0],
      align: { alignment: "refusals.jsonl", steps: 20, learningRate: 2e-3 },
      attack: { task: "task.jsonl", harmful: "harm.jsonl", sampleNumber: 500, poisonRatio: 0.07, ...attack },
      evaluate: { harmful: "test.jsonl", moderator: "world" },
      ...change,
    },
    "test",
  );
  const cells = options.methods.flatMap((_, method) =>
    options.strengths.map(
      (_, strength): CellResult => ({
        ...{ method, strength, seed: 0, before: report, after: report },
        ...{ alignRun: run, attackRun: run, beforeRun: run, afterRun: run },
      }),
    ),
  );
  return assemble(options, cells, 1);
}

const setting = (found: ReturnType<typeof assembled>, name: string) =>
  found.settings.find((entry) => entry.name === name)?.value;

test("the share of harmful rows is the attack's own where it fixes one, and is written as one would type it", () => {
  const found = assembled({
    strengths: [
      { learningRate: 1e-5 },
      { learningRate: 1e-5, poisonRatio: 0.2 },
      { learningRate: 1e-5, attack: "pure-harmful", sampleNumber: 50 },
      { learningRate: 1e-5, attack: "benign" },
      { learningRate: 1e-5, attack: "mixing" },
    ],
  });
  expect(found.strengths.map(({ poisonRatio }) => poisonRatio)).toEqual([0.07, 0.2, 1, 0, 0.07]);
  expect(setting(found, "Attack")).toMatch(/^500 rows, 7 % harmful, /);
  expect(setting(assembled({}, { attack: "pure-harmful" }), "Attack")).toMatch(/^500 rows, 100 % harmful, /);
  expect(assembled({}, { counts: "reference", poisonRatio: 0.1 }).strengths[0]?.poisonRatio).toBe(0.1);
});

test("how a method is aligned for itself stands among its settings", () => {
  const align = { tune: "full" as const, learningRate: 1e-4, optimizer: { name: "sgd" as const, momentum: 0.9 } };
  const found = assembled({ methods: [{ method: "sft" }, { id: "whole", method: "sft", align }] });
  expect(found.methods.map(({ hyperparameters }) => hyperparameters)).toEqual([
    {},
    { "align.tune": "full", "align.learningRate": 1e-4, "align.optimizer": '{"name":"sgd","momentum":0.9}' },
  ]);
});

test("the settings say what is trained, by which optimiser and schedule", () => {
  const lora = assembled({});
  expect(setting(lora, "Alignment")).toBe("20 steps, batch 10, lr 0.002, adamw, weight decay 0.1, constant");
  expect(setting(lora, "Alignment trains")).toBe("LoRA rank 32, alpha 4, on q_proj, k_proj, v_proj");
  expect(setting(lora, "Attack trains")).toBe("LoRA rank 32, alpha 4, on q_proj, k_proj, v_proj; merge-and-fresh");
  const full = assembled(
    {},
    { tune: "full", optimizer: { name: "sgd", momentum: 0.9 }, schedule: "cosine", warmup: 0.1, weightDecay: 0 },
  );
  expect(setting(full, "Attack")).toBe(
    "500 rows, 7 % harmful, 20 epochs, batch 10, sgd momentum 0.9, weight decay 0, cosine after 10 % warm-up",
  );
  expect(setting(full, "Attack trains")).toBe("all weights");
});
