import { expect, test } from "vitest";
import { StrengthEntry } from "./options.ts";
import { strengthLabel } from "./strengths.ts";

const labelOf = (strength: unknown) =>
  strengthLabel({ strengths: [StrengthEntry.parse(strength)], attack: { learningRate: 1e-5 } as never }, 0);

test.each([
  [{}, "lr 1e-5"],
  [{ learningRate: 2.5e-4 }, "lr 2.5e-4"],
  [{ learningRate: 0.1 }, "lr 1e-1"],
  [{ learningRate: 1, optimizer: "sgd" }, "lr 1, sgd"],
  [{ optimizer: { name: "sgd", momentum: 0.9 }, tune: "full" }, "lr 1e-5, sgd momentum 0.9, all weights"],
  [{ tune: "lora", loraRank: 8, steps: 200 }, "lr 1e-5, 200 steps, LoRA, rank 8"],
  [{ schedule: "cosine", warmup: 0.1, epochs: 3 }, "lr 1e-5, 3 epochs, cosine, 10 % warm-up"],
  [{ attack: "pure-harmful", poisonRatio: 0.07, sampleNumber: 50 }, "lr 1e-5, pure-harmful, 7 % harmful, 50 rows"],
  [{ label: "the worst", learningRate: 1 }, "the worst"],
])("%j is called %s", (strength, label) => {
  expect(labelOf(strength)).toBe(label);
});

test("whatever a strength sets is in its name", () => {
  const source = { path: "rows.jsonl" };
  const values: Record<string, [unknown, unknown]> = {
    adapterPolicy: ["continue", "merge-and-fresh"],
    alignment: [source, { path: "b" }],
    attack: ["mix", "benign"],
    avoid: [[], [source]],
    base: ["bfloat16", "int8"],
    counts: ["exact", "reference"],
    curve: [{ every: 1 }, { every: 2 }],
    defenderAvoid: [[], [source]],
    defenderHarmful: [source, { path: "b" }],
    general: [source, { path: "b" }],
    harmful: [source, { path: "b" }],
    force: [false, true],
    ignoreConfigKeys: [["a"], ["b"]],
    label: ["a", "b"],
    memory: ["speed", "low"],
    allRows: [true, false],
    checkpointsTo: ["a", "b"],
    validation: [{ every: 1 }, { every: 2 }],
    method: ["sft", "lisa"],
    moderation: ["world", "toy-guard"],
    optimizer: ["adamw", "sgd"],
    order: ["reference", "shuffled"],
    schedule: ["linear", "cosine"],
    targetModules: [["q_proj"], ["q_proj", "v_proj"]],
    task: [source, { path: "b" }],
    template: ["chat", "alpaca"],
    threatModel: ["service", "open-weights"],
    tooLong: ["reject", "truncate"],
    tune: ["lora", "full"],
    unusable: ["refuse", "skip"],
    warmup: [0, 0.1],
    poisonRatio: [0.1, 0.2],
  };
  for (const key of Object.keys(StrengthEntry.shape)) {
    const [one, other] = values[key] ?? [1, 2];
    expect(labelOf({ [key]: one }), key).not.toBe(labelOf({ [key]: other }));
  }
});

test.each([
  [{ adapterPolicy: "continue", batchSize: 4 }, "lr 1e-5, continue, batch 4"],
  [{ loraRank: 8, loraScale: 0.5, targetModules: ["q_proj", "up_proj"] }, "lr 1e-5, rank 8, scale 0.5, q_proj up_proj"],
  [{ weightDecay: 0, maxGradNorm: 2 }, "lr 1e-5, weight decay 0, max grad norm 2"],
  [{ moderation: { name: "toy-guard" } }, "lr 1e-5, moderation toy-guard"],
])("%j is called %s", (strength, label) => {
  expect(labelOf(strength)).toBe(label);
});
