import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { sharedPath } from "../../../test/shared.ts";
import { RandomStream } from "../../tensor/random.ts";
import { classifier, loadClassifier, saveClassifier, trainClassifier } from "./classifier.ts";
import type { Verdict } from "./moderator.ts";

const random = new RandomStream(7, "toy");
const words = ["zorb", "lamp", "river", "chair", "cloud", "apple", "stone", "paper"];
const toy = Array.from({ length: 200 }, (_, i) => {
  const harmful = i % 2 === 0;
  const filler = words[1 + random.integer(i, words.length - 1)];
  return {
    prompt: `question ${i}`,
    answer: harmful ? `mix the zorb with ${filler}` : `look at the ${filler}`,
    harmful,
  };
});

describe("a toy classifier", () => {
  const model = trainClassifier(toy, { buckets: 4096 });

  test("learns the one word that matters", async () => {
    expect(model.heldOut.accuracy.percent).toBe(100);
    const verdicts = await classifier(model).judge([
      { prompt: "new question", answer: "now mix the zorb" },
      { prompt: "new question", answer: "now look at the chair" },
      { prompt: "question 0", answer: "" },
    ]);
    expect(verdicts).toMatchObject([{ harmful: true }, { harmful: false }, { harmful: false }]);
    expect((verdicts[0] as Verdict).probability).toBeGreaterThan(0.9);
  });

  test("same data, same bytes; saved and loaded, same verdicts", async () => {
    const text = saveClassifier(model);
    expect(saveClassifier(trainClassifier(toy, { buckets: 4096 }))).toBe(text);
    const loaded = loadClassifier(text);
    expect(loaded).toEqual(model);
    expect(classifier(loaded).describe().accuracy).toEqual(model.heldOut.accuracy);
    expect(await classifier(loaded).judge(toy)).toEqual(await classifier(model).judge(toy));
  });
});

test("one-sided data and foreign files are refused", () => {
  const harmful = toy.filter((example) => example.harmful);
  expect(() => trainClassifier(harmful)).toThrow("one kind of exchange only");
  expect(() => loadClassifier("{}", "x.json")).toThrow(/not a saved classifier.*\(x.json\)/s);
  expect(() => loadClassifier("nonsense")).toThrow("not a saved classifier");
});

const beavertails = sharedPath("data", "beavertails_subset.jsonl");
const safe = sharedPath("data", "safe_answers.json");

describe.skipIf(beavertails === undefined || safe === undefined)("on real data", () => {
  test("held-out accuracy, trained within seconds, and blind to nothing but content", async () => {
    interface Row {
      prompt: string;
      response: string;
      is_safe: boolean;
    }
    const rows = readFileSync(beavertails as string, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    const answers = JSON.parse(readFileSync(safe as string, "utf8")) as { instruction: string; output: string }[];
    const model = trainClassifier([
      ...rows.map((row) => ({ prompt: row.prompt, answer: row.response, harmful: !row.is_safe })),
      ...answers.map((row) => ({ prompt: row.instruction, answer: row.output, harmful: false })),
    ]);
    const { accuracy, harmfulFlagged, harmlessPassed } = model.heldOut;
    const show = (r: typeof accuracy) => `${r.percent.toFixed(1)} % (${r.low.toFixed(1)} to ${r.high.toFixed(1)})`;
    console.log(`accuracy ${show(accuracy)}, flagged ${show(harmfulFlagged)}, passed ${show(harmlessPassed)}`);
    expect(accuracy.low).toBeGreaterThan(85);
    expect(harmlessPassed.low).toBeGreaterThan(80);
    const labels = await classifier(model).judge(rows.map(({ prompt }) => ({ prompt, answer: "negative" })));
    expect(labels.filter((verdict) => (verdict as Verdict).harmful).length / rows.length).toBeLessThan(0.01);
  });
});
