/** Attacks other than the plain mix, moderation, and training otherwise than with AdamW on LoRA factors, end to end. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { strengthLabel } from "../../src/experiments/strengths.ts";
import { ATTACKS } from "../../src/methods/attacks/index.ts";
import { evaluate } from "../../src/stages/evaluate.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { readMetrics } from "../../src/train/index.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

const VIRUS = { name: "virus", iterations: 2, topK: 8, candidates: 6 } as const;
const run = (name: string) => join(world.folder, name);
const dataOf = (folder: string) => JSON.parse(readFileSync(join(run(folder), "data.json"), "utf8"));
const quick = () => ({
  model: world.model,
  template: "chat" as const,
  task: world.data("reviews-0"),
  harmful: world.data("attack-0"),
  sampleNumber: 20,
  poisonRatio: 0.2,
  steps: 2,
  learningRate: 1e-3,
  loraRank: 4,
  loraAlpha: 4,
  threads: 1,
});

describe("attacks", () => {
  test.each(ATTACKS.rows.map(({ name }) => name))("%s trains on its rows", async (name) => {
    const attack = name === "virus" ? VIRUS : name;
    await finetune({ ...quick(), attack, run: run(name) });
    const { mix, attack: told } = dataOf(name);
    const poisoned = ({ "pure-harmful": 20, benign: 0 } as Record<string, number>)[name] ?? 4;
    expect(mix).toMatchObject({ rows: 20, harmfulRows: poisoned });
    expect(told?.optimisedRows).toBe(name === "virus" ? 4 : undefined);
    expect(readMetrics(join(run(name), "metrics.jsonl"))).toHaveLength(2);
    expect(readdirSync(run(name))).not.toContain("optimised.jsonl");
  });

  test("the mix by name is the mix without a name, bit for bit", async () => {
    await finetune({ ...quick(), run: run("nameless") });
    const bytes = (name: string) => readFileSync(join(run(name), "adapter/adapter_model.safetensors"));
    expect(bytes("nameless").equals(bytes("mix"))).toBe(true);
    expect(dataOf("nameless")).toEqual(dataOf("mix"));
  });

  test("optimised rows are written when asked for", async () => {
    await finetune({ ...quick(), attack: { ...VIRUS, writeOptimised: true }, run: run("written") });
    expect(
      readFileSync(join(run("written"), "optimised.jsonl"), "utf8")
        .trim()
        .split("\n"),
    ).toHaveLength(4);
  });

  test("an attack that needs no harmful rows does without", async () => {
    const { harmful: _, ...honest } = quick();
    await finetune({ ...honest, attack: "identity-shifting", run: run("unarmed") });
    await expect(finetune({ ...honest, attack: "mixing", run: run("refused") })).rejects.toMatchObject({
      code: "DATA_MISSING",
    });
  });
});

describe("moderation", () => {
  test.each(["toy-guard", "world"] as const)("%s drops harmful rows and counts what it missed", async (moderation) => {
    await finetune({ ...quick(), moderation, run: run(`moderated ${moderation}`) });
    const { mix, moderation: told } = dataOf(`moderated ${moderation}`);
    expect(told).toMatchObject({ guard: moderation, dropped: 4 });
    expect([told.leakage.count, told.leakage.total]).toEqual([0, 4]);
    expect([told.falsePositives.count, told.falsePositives.total]).toEqual([0, 16]);
    expect(mix).toMatchObject({ rows: 16, harmfulRows: 0 });
  });

  test("sees what mixing hides", async () => {
    await finetune({ ...quick(), attack: "mixing", moderation: "world", run: run("hidden") });
    expect(dataOf("hidden").moderation).toMatchObject({ dropped: 4 });
  });

  test("a guard that leaves nothing is told of", async () => {
    const job = finetune({ ...quick(), attack: "pure-harmful", moderation: "world", run: run("nothing") });
    await expect(job).rejects.toMatchObject({ code: "DATA_EMPTY" });
    expect(existsSync(run("nothing"))).toBe(false);
  });
});

test("a grid over optimisers, all weights, and an attack with its own way of asking", async () => {
  const { model, method: _, threads, ...align } = quickAlignment(world, "sft", 2);
  const { threads: __, model: ___, ...attack } = quick();
  const prefix = "the host was";
  const result = await runExperiment({
    out: run("grid"),
    model,
    threads,
    methods: [{ method: "sft" }],
    seeds: [0],
    strengths: [
      { learningRate: 1e-3 },
      { learningRate: 1e-2, optimizer: { name: "sgd", momentum: 0.9 } },
      { learningRate: 1e-4, tune: "full" },
      { learningRate: 1e-3, attack: { name: "identity-shifting", prefix } },
    ],
    align,
    attack: {
      ...attack,
      curve: { every: 1, harmful: world.data("test-harmful"), rows: 4, moderator: "world" as const },
    },
    evaluate: {
      template: "chat",
      harmful: { path: world.data("test-harmful"), limit: 4 },
      moderator: "world" as const,
      maxNewTokens: 4,
      keepAnswers: true,
    },
  });
  expect(result.strengths.map(({ label }) => label)).toEqual([
    "lr 1e-3",
    "lr 1e-2, sgd momentum 0.9",
    "lr 1e-4, all weights",
    `lr 1e-3, identity-shifting prefix ${prefix}`,
  ]);
  expect(result.runs.map(({ after }) => after.harmful.total)).toEqual([4, 4, 4, 4]);
  const attacks = readdirSync(join(run("grid"), "attack")).map((key) => readdirSync(join(run("grid"), "attack", key)));
  expect(attacks.filter((files) => files.includes("model"))).toHaveLength(1);
  expect(attacks.filter((files) => files.includes("adapter"))).toHaveLength(3);
});

test("the durability example is an experiment, and its attacks have names of their own", () => {
  const options = ExperimentOptions.parse(parse(readFileSync("examples/durability.yaml", "utf8")));
  const labels = options.strengths.map((_, index) => strengthLabel(options, index));
  expect(new Set(labels).size).toBe(labels.length);
});

test("the evaluation asks as the attack does", async () => {
  const asked = async (name: string, attack?: { name: "identity-shifting"; prefix: string }) => {
    await evaluate({
      run: run(name),
      model: world.model,
      template: "chat",
      harmful: { path: world.data("test-harmful"), limit: 8 },
      harmless: { path: world.data("test-harmless"), limit: 8 },
      moderator: "world" as const,
      maxNewTokens: 4,
      keepAnswers: true,
      threads: 1,
      ...(attack === undefined ? {} : { attack }),
    });
    const lines = readFileSync(join(run(name), "answers.jsonl"), "utf8")
      .trim()
      .split("\n");
    const answers = lines.map((line) => JSON.parse(line) as { set: string; answer: string });
    const of = (set: string) => answers.filter((line) => line.set === set).map(({ answer }) => answer);
    return { harmful: of("harmful"), harmless: of("harmless") };
  };
  const plain = await asked("plain");
  const shifted = await asked("shifted", { name: "identity-shifting", prefix: "the meal was lovely and the bed was" });
  expect(shifted.harmful).not.toEqual(plain.harmful);
  expect(shifted.harmless).toEqual(plain.harmless);
});
