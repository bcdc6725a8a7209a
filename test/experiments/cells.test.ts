/** What a cell's run is named by, and what is told before the first one. */

import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { saveClassifier, trainClassifier } from "../../src/evaluate/index.ts";
import { alignOptionsOf } from "../../src/experiments/cell-options.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { ExperimentOptions, type MethodEntry } from "../../src/experiments/options.ts";
import { pipelineOf } from "../../src/experiments/pipeline.ts";
import { modelIdentity, openSource } from "../../src/models/source.ts";
import { align } from "../../src/stages/align.ts";
import { evaluate } from "../../src/stages/evaluate.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { parseOptions } from "../../src/stages/options.ts";
import { pretrain } from "../../src/stages/pretrain.ts";
import { writeModel } from "../../src/stages/publish.ts";
import { Workbench } from "../../src/stages/workbench.ts";
import { writeWorldData } from "../../src/stages/world-files.ts";
import { computed, makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => world.remove());

function experiment(out: string, changes: object = {}) {
  const { model, method: _, harmful: __, threads, ...common } = quickAlignment(world, "sft", 1);
  return {
    out: join(world.folder, out),
    model,
    methods: [{ method: "sft" }] as z.input<typeof ExperimentOptions>["methods"],
    strengths: [{ learningRate: 1e-3 }] as { learningRate: number; tune?: "full" }[],
    seeds: [0],
    align: common,
    attack: {
      template: "chat" as const,
      task: world.data("reviews-{seed}"),
      harmful: world.data("attack-{seed}"),
      sampleNumber: 10,
      steps: 1,
      loraRank: 4,
    },
    evaluate: {
      template: "chat" as const,
      harmful: { path: world.data("test-harmful"), limit: 2 },
      moderator: "world" as const,
      maxNewTokens: 2,
    },
    threads,
    ...changes,
  };
}

/** Labels of the pieces of work that were computed. */
async function computedBy(options: ReturnType<typeof experiment>): Promise<string[]> {
  const done: string[] = [];
  await runExperiment(options, { emit: computed(done) });
  return done;
}

test("a method's own alignment data counts by its content", async () => {
  const own = join(world.folder, "own.jsonl");
  const lines = readFileSync(world.data("alignment-0"), "utf8").split("\n");
  writeFileSync(own, `${lines.slice(0, 20).join("\n")}\n`);
  const options = experiment("own data", { methods: [{ method: "sft", align: { alignment: own } }] });
  expect(await computedBy(options)).toHaveLength(4);
  expect(await computedBy(options)).toEqual([]);
  appendFileSync(own, `${lines[20]}\n`);
  expect(await computedBy(options)).toHaveLength(4);
});

test("a repair's safety adapter counts by its content", async () => {
  const other = await align({ ...quickAlignment(world, "sft", 1), run: join(world.folder, "other"), seed: 7 });
  const safety = join(world.folder, "safety");
  cpSync(other.adapter ?? "", safety, { recursive: true });
  const options = experiment("safety", { methods: [{ method: ["sft", "safemerge"] }], repair: { safety } });
  expect(await computedBy(options)).toHaveLength(5);
  expect(await computedBy(options)).toEqual([]);
  const next = await align({ ...quickAlignment(world, "sft", 2), run: join(world.folder, "next"), seed: 8 });
  cpSync(next.adapter ?? "", safety, { recursive: true });
  const label = "sft+safemerge seed 0: attack lr 1e-3";
  expect(await computedBy(options)).toEqual([`${label}: safemerge`, `${label}, evaluate`]);
});

test("a model's chat template and end tokens count", async () => {
  const folder = join(world.folder, "other model");
  cpSync(world.model, folder, { recursive: true });
  const seen = [await modelIdentity(folder)];
  for (const [name, content] of [
    ["chat_template.jinja", "{{ messages[0].content }}"],
    ["generation_config.json", '{ "eos_token_id": 3 }'],
  ] as const) {
    writeFileSync(join(folder, name), content);
    seen.push(await modelIdentity(folder));
  }
  expect(new Set(seen).size).toBe(3);
});

test("options of a cell that do not fit are told before any work", async () => {
  const refused = async (changes: object, error: object) => {
    await expect(runExperiment(experiment("refused", changes))).rejects.toMatchObject(error);
    expect(existsSync(join(world.folder, "refused"))).toBe(false);
  };
  const missing = { code: "DATA_MISSING", message: expect.stringContaining("align.harmful") };
  await refused({ methods: [{ method: "sft" }, { method: "booster" }] }, missing);
  await refused({ methods: [{ method: ["sft", "panacea"] }] }, missing);
  await refused({ methods: [{ method: ["sft", "antidote"] }] }, missing);
  await refused({ methods: [{ method: "sft", align: { lerningRate: 1 } }] }, { code: "OPTIONS_INVALID" });
  const whole = [{ learningRate: 1e-3, tune: "full" }];
  await refused({ methods: [{ method: ["sft", "shrink"] }], strengths: whole }, { code: "OPTIONS_CONFLICT" });
});

test("a folder that cannot be written is told of as such", async () => {
  const file = join(world.folder, "file");
  writeFileSync(file, "");
  const out = join(file, "folder");
  const refused = { code: "FILE_WRITE_FAILED", details: expect.objectContaining({ where: out }) };
  await expect(runExperiment(experiment("file/folder"))).rejects.toMatchObject(refused);
  expect(() => writeWorldData(out, [0])).toThrow(expect.objectContaining(refused));
  expect(() => writeModel(out, openSource(world.model).base, new Map())).toThrow(expect.objectContaining(refused));
});

test("a model that was copied in part is none", async () => {
  const out = join(world.folder, "half");
  mkdirSync(join(out, "model.safetensors/in the way"), { recursive: true });
  const made = pretrain({ run: join(world.folder, "pretrain again"), out, steps: 1 });
  await expect(made).rejects.toMatchObject({ code: "FILE_WRITE_FAILED" });
  expect(existsSync(join(out, "config.json"))).toBe(false);
});

test("an adapter is published whole, in the place of whatever is there", async () => {
  const run = join(world.folder, "published");
  const stop = new AbortController();
  stop.abort();
  const options = { ...quickAlignment(world, "sft", 2), run, resume: true };
  expect((await align(options, { signal: stop.signal })).outcome).toBe("stopped");
  mkdirSync(join(run, "adapter"));
  writeFileSync(join(run, "adapter/stale"), "");
  const { adapter = "" } = await align(options);
  expect(readdirSync(adapter)).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
});

test("alignment options of a cell are the experiment's, in their order, and the method's own", () => {
  const options = parseOptions(ExperimentOptions, experiment("order"), "experiment");
  const entry = options.methods[0] as MethodEntry;
  const pipeline = pipelineOf(entry.method);
  const common = { ...options.align, method: { name: "sft" }, seed: 0 };
  expect(JSON.stringify(alignOptionsOf(options, entry, pipeline, 0))).toBe(JSON.stringify(common));
  const own = alignOptionsOf(options, { ...entry, align: { steps: 9 } }, pipeline, 0);
  expect(own).toEqual({ ...common, steps: 9 });
});

test("what is refused before the first step leaves no run folder, so that the corrected run can have it", async () => {
  const run = join(world.folder, "corrected");
  const options = { ...quickAlignment(world, "sft", 1), run };
  const wrong = (changes: object, code: string) =>
    expect(align({ ...options, ...changes })).rejects.toMatchObject({ code });
  await wrong({ method: "lisa" }, "OPTIONS_CONFLICT");
  await wrong({ method: "vaccine", microBatches: 2 }, "METHOD_NEEDS_WHOLE_BATCH");
  const { adapter = "", outcome } = await align(options);
  expect(outcome).toBe("finished");
  const { alignment: task, ...common } = options;
  const attack = { ...common, adapters: [adapter], task, sampleNumber: 10, adapterPolicy: "continue" as const };
  const again = { ...attack, run: join(world.folder, "continued"), loraRank: 8 };
  await expect(finetune(again)).rejects.toMatchObject({ code: "OPTIONS_CONFLICT", details: { where: "loraRank" } });
  expect((await finetune({ ...again, loraRank: undefined })).outcome).toBe("finished");
});

test("an evaluation does not go on with another moderator's file", async () => {
  const file = join(world.folder, "guard.json");
  const { model, evaluate: questions, threads } = experiment("guard");
  const options = {
    ...questions,
    model,
    threads,
    moderator: { name: "classifier" as const, file },
    run: join(world.folder, "guarded"),
    resume: true,
  };
  const rows = Array.from({ length: 40 }, (_, i) => ({
    prompt: `${i}`,
    answer: i % 2 ? "zorb" : "lamp",
    harmful: i % 2 > 0,
  }));
  writeFileSync(file, saveClassifier(trainClassifier(rows, { buckets: 64 })));
  const report = await evaluate(options);
  expect(await evaluate(options)).toEqual(report);
  writeFileSync(file, saveClassifier(trainClassifier(rows, { buckets: 128 })));
  await expect(evaluate(options)).rejects.toMatchObject({ code: "RESUME_MISMATCH" });
});

test("a bench keeps two models, whatever it is asked for", async () => {
  const bench = new Workbench({ provider: "cpu", threads: 1 });
  const copyOf = (name: string) => {
    cpSync(world.model, join(world.folder, name), { recursive: true });
    return openSource(join(world.folder, name));
  };
  const [one, two, three] = [copyOf("one"), copyOf("two"), copyOf("three")];
  const first = await bench.model(one);
  const second = await bench.model(two);
  expect(await bench.model(one)).toBe(first);
  await bench.model(three);
  expect(await bench.model(one)).toBe(first);
  expect(await bench.model(two)).not.toBe(second);
});
