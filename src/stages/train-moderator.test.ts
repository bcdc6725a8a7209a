import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { labelledRows } from "../data/world/labelled.ts";
import { splitByPrompt } from "../evaluate/index.ts";
import { encodeIn } from "../evaluate/moderators/sequence-classifier.ts";
import { classifiable } from "../models/classes.ts";
import { openReader } from "../models/last-token.ts";
import { agree, testModerator } from "./judge-answers.ts";
import { classifierConfig, kindsOf, withClassHead } from "./moderator-classes.ts";
import { bundledModel } from "./package-root.ts";
import { trainModerator } from "./train-moderator.ts";
import { Workbench } from "./workbench.ts";

const folder = mkdtempSync(join(tmpdir(), "booster-moderator-"));
const rows = labelledRows("alignment", 60, 1);
const write = (name: string, list: readonly object[]): string => {
  const path = join(folder, name);
  writeFileSync(path, list.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return path;
};
const withKinds = write("kinds.jsonl", rows);
const plain = write(
  "plain.jsonl",
  rows.map(({ categories: _, ...row }) => row),
);

const settings = { model: bundledModel(), threads: 1, learningRate: 1e-3, loraRank: 4, loraAlpha: 4, seed: 3 };

test.each([
  ["full", withKinds, 3],
  ["lora", plain, 2],
] as const)(
  "%s: the first loss is that of the definition, and the folder is the model that was measured",
  async (tune, data, labels) => {
    const run = join(folder, tune);
    const known = rows.map((row, i) => ({
      ...row,
      where: `${i}`,
      ...(data === plain ? { categories: undefined } : {}),
    }));
    const { training, heldOut } = splitByPrompt(known, 0.2, settings.seed);
    // One batch holds all rows, so that the first loss is that of all.
    const outcome = await trainModerator({ ...settings, run, data, tune, steps: 2, batchSize: training.length });
    const { heldOut: measured } = outcome;
    expect(measured?.figures.accuracy.total).toBe(heldOut.length);

    const kinds = kindsOf(training);
    expect(kinds.labels).toHaveLength(labels);
    const bench = new Workbench({ provider: "cpu", threads: 1 });
    const { base } = await bench.start(await bench.open(settings), "merge");
    const fresh = await withClassHead(base, kinds, settings.seed);
    const ids = training.map((row) => encodeIn("chat", base.tokenizer, row, 63));
    const losses = await (await openReader(fresh))(
      ids.map((row) => ({ ids: row })),
      (z, row) => {
        const of = training[row] as (typeof training)[number];
        if (data === plain) {
          const total = Math.log(Array.from(z).reduce((sum, each) => sum + Math.exp(each), 0));
          return total - (z[Number(of.harmful)] as number);
        }
        const each = kinds.labels.map((label, i) => {
          const holds = of.categories?.includes(label) ?? false;
          return Math.log1p(Math.exp(holds ? -(z[i] as number) : (z[i] as number)));
        });
        return each.reduce((sum, loss) => sum + loss, 0) / each.length;
      },
    );
    const [first] = readFileSync(join(run, "metrics.jsonl"), "utf8")
      .split("\n")
      .map((line) => JSON.parse(line || "{}"));
    expect(first.loss).toBeCloseTo(losses.reduce((sum, loss) => sum + loss, 0) / losses.length, 5);

    const test = write(
      "held-out.jsonl",
      heldOut.map(({ prompt, answer, harmful }) => ({ prompt, answer, harmful })),
    );
    const moderator = { name: "sequence-classifier", model: run } as const;
    const again = await testModerator({ moderator, data: test, threads: 1 });
    expect(again.figures).toEqual(measured?.figures);
    expect(again.moderator.accuracy).toEqual(measured?.figures.accuracy);
    const same = await agree({ first: moderator, second: moderator, answers: test, threads: 1 });
    expect(same.agreement.percent).toBe(100);
    expect(readFileSync(join(run, "model", "config.json"), "utf8")).toContain("LlamaForSequenceClassification");
  },
);

test("same data and seed, same bytes, also where it was stopped between", async () => {
  const options = { ...settings, data: plain, tune: "lora", steps: 3 } as const;
  const weights = (run: string) => readFileSync(join(folder, run, "model", "model.safetensors"));
  await trainModerator({ ...options, run: join(folder, "whole") });
  const stop = new AbortController();
  const emit = ({ type }: { readonly type: string }) => type === "step" && stop.abort();
  const halted = await trainModerator({ ...options, run: join(folder, "halted") }, { signal: stop.signal, emit });
  expect(halted).toMatchObject({ outcome: "stopped" });
  expect(halted.heldOut).toBeUndefined();
  await trainModerator({ ...options, run: join(folder, "halted"), resume: true });
  expect(weights("halted").equals(weights("whole"))).toBe(true);
});

test("rows without verdicts, and of one kind, are refused", async () => {
  const none = write("none.jsonl", [{ prompt: "p", answer: "a" }]);
  await expect(trainModerator({ ...settings, run: join(folder, "none"), data: none })).rejects.toMatchObject({
    code: "CLASSIFIER_DATA",
  });
  const one = write(
    "one.jsonl",
    rows.filter(({ harmful }) => harmful),
  );
  await expect(trainModerator({ ...settings, run: join(folder, "one"), data: one })).rejects.toMatchObject({
    code: "CLASSIFIER_DATA",
  });
});

test("what stands behind the classified token is its class, wherever padding begins", () => {
  expect(classifiable([5, 6, 7], 1, 0)).toEqual({ inputIds: [5, 6, 7, 7], labels: [-100, -100, -100, 1] });
  expect(classifiable([5, 6, 0], 2, 0)).toEqual({ inputIds: [5, 6, 6], labels: [-100, -100, 2] });
});

test("a harmful row that names no kind is another one where others name some", () => {
  const row = { where: "", prompt: "", answer: "", harmful: true };
  const kinds = kindsOf([
    { ...row, categories: ["x"] },
    { ...row, categories: [] },
  ]);
  expect(kinds.labels).toEqual(["other", "x"]);
  expect(kinds.of({ ...row, categories: [] })).toBe(1);
  expect(kinds.of({ ...row, categories: ["x"] })).toBe(2);
  expect(() => kindsOf(Array.from({ length: 40 }, (_, i) => ({ ...row, categories: [`k${i}`] })))).toThrow("too many");
});

test("a classifier's config.json says what Hugging Face's library asks for", () => {
  const kinds = kindsOf([]);
  const of = (config: object) => classifierConfig(config, kinds, 7) as Record<string, unknown>;
  expect(of({ model_type: "gpt2", architectures: ["GPT2LMHeadModel"], dtype: "bfloat16" })).toEqual({
    model_type: "gpt2",
    architectures: ["GPT2ForSequenceClassification"],
    id2label: { 0: "safe", 1: "harmful" },
    label2id: { safe: 0, harmful: 1 },
    problem_type: "single_label_classification",
    pad_token_id: 7,
    torch_dtype: "float32",
  });
  expect(of({ model_type: "qwen2" }).architectures).toEqual(["Qwen2ForSequenceClassification"]);
});
