import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sharedPath } from "../../test/shared.ts";
import { Device } from "../runtime/index.ts";
import { classesOf, pooledAt, probabilities } from "./classes.ts";
import { SequenceClassifier } from "./classification.ts";
import { createModel } from "./registry.ts";

const folder = sharedPath("fixtures", "llama-classifier");

describe.skipIf(folder === undefined)("the fixture of a moderation model", () => {
  const model = join(folder ?? "", "model");

  test("is no language model", () => {
    const config: unknown = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));
    expect(() => createModel(config)).toThrow(expect.objectContaining({ code: "MODEL_CONFIG_INVALID" }));
    expect(() => classesOf({ ...(config as object), architectures: ["LlamaForCausalLM"] })).toThrow(
      "end with ForSequenceClassification",
    );
  });

  test("a text is read alike alone and among others", async () => {
    const classifier = await SequenceClassifier.load(model, new Device());
    const rows = Array.from({ length: 20 }, (_, i) => Array.from({ length: 1 + i }, (_, t) => 3 + ((7 * i + t) % 400)));
    const together = await classifier.logits(rows);
    for (const i of [0, 7, 19]) {
      const [alone] = await classifier.logits([rows[i] as number[]]);
      for (const [label, z] of (alone ?? []).entries()) expect(z).toBeCloseTo(together[i]?.[label] as number, 5);
    }
  });
});

const config = { architectures: ["LlamaForSequenceClassification"], id2label: { 0: "no", 1: "yes" } };

test("labels stand in the order of their numbers", () => {
  const id2label = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [String(11 - i), `l${11 - i}`]));
  expect(classesOf({ ...config, id2label }).labels.slice(8)).toEqual(["l8", "l9", "l10", "l11"]);
  expect(classesOf(config)).toEqual({ labels: ["no", "yes"], problem: undefined, padId: undefined });
});

test.each([[{}], [{ 0: "no" }], [{ 0: "no", 2: "yes" }], [{ a: "no", b: "yes" }]])(
  "labels %j are refused",
  (id2label) => {
    expect(() => classesOf({ ...config, id2label })).toThrow(expect.objectContaining({ code: "MODEL_CONFIG_INVALID" }));
  },
);

test("regression is refused", () => {
  expect(() => classesOf({ ...config, problem_type: "regression" })).toThrow("problem_type");
});

test.each([
  [[1, 5, 9], undefined, 2],
  [[1, 5, 0], 0, 1],
  [[1, 0, 5, 0, 0], 0, 2],
  [[0, 0], 0, 0],
])("of %j with padding %s the token at %i is classified", (ids, pad, place) => expect(pooledAt(ids, pad)).toBe(place));

test("sigmoids, or softmax", () => {
  expect(probabilities([0, 1000, -1000], "multi_label_classification")).toEqual([0.5, 1, 0]);
  const [a = 0, b = 0, c = 0] = probabilities([1000, 1000, 999], "single_label_classification");
  expect(a + b + c).toBeCloseTo(1, 12);
  expect(c / a).toBeCloseTo(Math.exp(-1), 12);
});
