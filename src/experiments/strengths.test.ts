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

test("whatever a strength varies is in its name", () => {
  const values: Record<string, [unknown, unknown]> = {
    learningRate: [1e-3, 2e-3],
    poisonRatio: [0.1, 0.2],
    sampleNumber: [10, 20],
    epochs: [1, 2],
    steps: [1, 2],
    schedule: ["linear", "cosine"],
    warmup: [0, 0.1],
    optimizer: ["adamw", "sgd"],
    tune: ["lora", "full"],
    loraRank: [8, 16],
    attack: ["mix", "benign"],
    label: ["a", "b"],
  };
  expect(Object.keys(values).sort()).toEqual(Object.keys(StrengthEntry.shape).sort());
  for (const [key, [one, other]] of Object.entries(values))
    expect(labelOf({ [key]: one })).not.toBe(labelOf({ [key]: other }));
});
