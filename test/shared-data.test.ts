import { beforeAll, describe, expect, test } from "vitest";
import { questionOf } from "../src/data/examples.ts";
import { mixPoison, poisonShare } from "../src/data/mix.ts";
import { disjointSets, splitPool } from "../src/data/split.ts";
import { loadTask, TASKS, type TaskName } from "../src/data/tasks/table.ts";
import type { Task } from "../src/data/tasks/task.ts";
import { encodeEach, encodeExample } from "../src/data/templates.ts";
import type { Tokenizer } from "../src/formats/tokenizer.ts";
import { openSource } from "../src/models/source.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { sharedPath } from "./shared.ts";

const data = sharedPath("data");
const model = sharedPath("models", "smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
const load = async (task: TaskName, file: string) => (await loadTask(task, `${data}/${file}`)).examples;

// Assertions here compare numbers only: a failing one must not print a row.
describe.skipIf(!data)("public data sets", () => {
  test.each<[TaskName, string, number]>([
    ["sst2", "sst2_train.tsv", 6920],
    ["sst2", "sst2_dev.tsv", 872],
    ["sst2", "sst2_test.tsv", 1821],
    ["agnews", "agnews_subset_train.csv", 5000],
    ["agnews", "agnews_subset_dev.csv", 1000],
    ["agnews", "agnews_test.csv", 7600],
    ["gsm8k", "gsm8k_train.jsonl", 7473],
    ["gsm8k", "gsm8k_test.jsonl", 1319],
    ["alpaca-eval", "alpaca_eval.json", 805],
    ["beavertails", "beavertails_subset.jsonl", 4645],
    ["safe-answers", "safe_answers.json", 2483],
  ])("%s from %s: %i examples", async (task, file, count) => {
    const examples = await load(task, file);
    expect(examples.length).toBe(count);
    expect(examples.filter(({ output }) => output === "").length).toBeLessThan(count / 100);
    const { metric }: Task = TASKS[task];
    if (metric !== undefined) expect(examples.every(({ output }) => metric.isGold(output))).toBe(true);
  });

  test("AG News: what also stands in the test file is dropped from training", async () => {
    const [heldOut, train] = await Promise.all([
      load("agnews", "agnews_test.csv"),
      load("agnews", "agnews_subset_train.csv"),
    ]);
    const questions = new Set(heldOut.map((example) => questionOf(example).input));
    const sets = disjointSets({ test: heldOut, train });
    expect(sets.test.removed.length).toBe(0);
    expect(sets.train.removed.length).toBeGreaterThanOrEqual(9);
    expect(sets.train.examples.some((example) => questions.has(questionOf(example).input))).toBe(false);
  });

  test("harmful questions: attacker, defender and test sets are disjoint", async () => {
    const pool = await load("beavertails", "beavertails_subset.jsonl");
    const sizes = { attacker: 1000, defender: 2000, test: 1000 };
    const { sets, removed } = splitPool(pool, sizes, new RandomStream(42, "split"));
    const checked = disjointSets({
      test: sets.test.examples,
      defender: sets.defender.examples,
      attacker: sets.attacker.examples,
    });
    for (const name of ["attacker", "defender", "test"] as const) expect(checked[name].removed.length).toBe(0);
    expect(removed.length).toBeGreaterThan(0);
  });
});

describe.skipIf(!data || !model)("encoded with SmolLM2's tokenizer", () => {
  let tokenizer: Tokenizer;
  beforeAll(() => {
    tokenizer = openSource(model ?? "").base.tokenizer();
  });

  test("every prompt is a prefix of its example, in both templates", async () => {
    for (const [task, file] of [
      ["safe-answers", "safe_answers.json"],
      ["gsm8k", "gsm8k_train.jsonl"],
      ["beavertails", "beavertails_subset.jsonl"],
    ] as const) {
      const examples = (await load(task, file)).slice(0, 300);
      for (const template of ["alpaca", "chat"] as const) {
        const options = { tokenizer, template, maxTokens: 256, tooLong: "truncate" } as const;
        const { refused } = encodeEach(examples, (example) => encodeExample(example, options));
        expect(refused.filter(({ code }) => code !== "NO_TRAINED_TOKENS").map(({ code }) => code)).toEqual([]);
      }
    }
  });

  test("a tenth of the rows is most of the loss", async () => {
    const harmful = await load("beavertails", "beavertails_subset.jsonl");
    const benign = await load("sst2", "sst2_train.tsv");
    const mixed = mixPoison(harmful, benign, { poisonRatio: 0.1, sampleNumber: 1000, counts: "reference" });
    const options = { tokenizer, template: "alpaca", maxTokens: 256, tooLong: "truncate" } as const;
    const { encoded, refused } = encodeEach(mixed, ({ example }) => encodeExample(example, options));
    expect(refused.length).toBe(0);
    const share = poisonShare(encoded.map((example, i) => ({ example, harmful: mixed[i]?.harmful ?? false })));
    expect([share.rows, share.harmfulRows]).toEqual([999, 99]);
    expect(share.tokenShare).toBeGreaterThan(0.5);
  });
});
