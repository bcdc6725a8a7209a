/** Stages whose model and data are named on the hub: what they record, and that they go on without it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { filesIn as filesInOptions } from "../../src/choice.ts";
import { dryRun } from "../../src/experiments/dry-run.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { resolveReferences } from "../../src/hub/resolve.ts";
import { modelIdentity } from "../../src/models/source.ts";
import { align } from "../../src/stages/align.ts";
import { hashesOfFiles } from "../../src/stages/describe-run.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { merge } from "../../src/stages/merge.ts";
import { EvaluateOptions } from "../../src/stages/options.ts";
import { bundledModel } from "../../src/stages/package-root.ts";
import { writeWorldData } from "../../src/stages/world-files.ts";
import { COMMIT, StandIn, type StandInFile } from "./stand-in.ts";

const hub = new StandIn();
const folder = mkdtempSync(join(tmpdir(), "booster-hub-stages-"));
const OTHER = "f".repeat(40);

const filesIn = (path: string): Record<string, StandInFile> =>
  Object.fromEntries(
    readdirSync(path).map((name) => [
      name,
      { content: readFileSync(join(path, name)), lfs: name.endsWith(".safetensors") },
    ]),
  );

beforeAll(async () => {
  process.env.HF_ENDPOINT = await hub.start();
  process.env.HF_HOME = join(folder, "home");
  writeWorldData(join(folder, "data"), [0]);
  hub.repositories.set("models/org/world", { files: filesIn(bundledModel()), revisions: { moved: OTHER } });
  hub.repositories.set("datasets/org/rows", { kind: "datasets", files: filesIn(join(folder, "data")) });
});
afterAll(async () => {
  await hub.stop();
  rmSync(folder, { recursive: true });
});

const json = (...path: string[]) => JSON.parse(readFileSync(join(folder, ...path), "utf8"));
const tensors = (run: string) => readFileSync(join(folder, run, "adapter", "adapter_model.safetensors"));
const quick = { steps: 4, checkpointEvery: 2, loraRank: 4 };
const settings = { ...quick, threads: 1 };

test("a run records commits, goes on without a connection when its branch has moved, and gives the same bytes as from a folder", async () => {
  const named = {
    ...settings,
    run: join(folder, "named"),
    model: "hf:org/world",
    alignment: "hf-data:org/rows:alignment-0.jsonl",
  };
  const stop = new AbortController();
  const stopped = await align(named, {
    signal: stop.signal,
    emit: (event) => event.type === "step" && event.step === 2 && stop.abort(),
  });
  expect(stopped.outcome).toBe("stopped");
  expect(json("named", "run.json").config).toMatchObject({
    model: `hf:org/world@${COMMIT}`,
    alignment: { path: `hf-data:org/rows@${COMMIT}:alignment-0.jsonl` },
  });
  for (const [name, files] of [...hub.repositories])
    hub.repositories.set(name, { ...files, revisions: { main: OTHER } });
  hub.asked.length = 0;
  expect((await align({ ...named, resume: true })).outcome).toBe("finished");
  expect(hub.asked).toEqual([]);

  const local = { ...settings, model: bundledModel(), alignment: join(folder, "data", "alignment-0.jsonl") };
  await align({ ...local, run: join(folder, "local") });
  expect(tensors("named").equals(tensors("local"))).toBe(true);
  const { base } = json("named", "model.json");
  expect(base).toEqual({ path: `hf:org/world@${COMMIT}`, sha256: json("local", "model.json").base.sha256 });
  const { base_model_name_or_path, revision } = json("named", "adapter", "adapter_config.json");
  expect([base_model_name_or_path, revision]).toEqual(["org/world", COMMIT]);
});

test("the base of a run is brought back where another cache lacks it, at the commit of the run", async () => {
  process.env.HF_HOME = join(folder, "another");
  await finetune({
    ...settings,
    run: join(folder, "attacked"),
    model: join(folder, "named"),
    task: join(folder, "data", "reviews-0.jsonl"),
    sampleNumber: 20,
    poisonRatio: 0,
  });
  expect(json("attacked", "model.json").base.path).toBe(`hf:org/world@${COMMIT}`);
  expect(hub.asked).not.toContain("/api/models/org/world/revision/main");
  await merge({ model: join(folder, "attacked"), out: join(folder, "merged") });
  expect(readdirSync(join(folder, "merged"))).toContain("model.safetensors");
});

test("an adapter on the hub stands on a model", async () => {
  hub.repositories.set("models/org/adapter", { files: filesIn(join(folder, "named", "adapter")) });
  await merge({ model: bundledModel(), adapters: ["hf:org/adapter"], out: join(folder, "merged-adapter") });
  await merge({ model: join(folder, "named"), out: join(folder, "merged-run") });
  const weights = (name: string) => readFileSync(join(folder, name, "model.safetensors"));
  expect(weights("merged-adapter").equals(weights("merged-run"))).toBe(true);
});

test("a run on an adapter of the hub names it by its commit, and has it brought to another cache", async () => {
  await finetune({
    ...settings,
    run: join(folder, "on-adapter"),
    model: bundledModel(),
    adapters: ["hf:org/adapter"],
    task: join(folder, "data", "reviews-0.jsonl"),
    sampleNumber: 20,
    poisonRatio: 0,
  });
  expect(json("on-adapter", "model.json").adapters[0].folder).toBe(`hf:org/adapter@${COMMIT}`);
  process.env.HF_HOME = join(folder, "fourth");
  await merge({ model: join(folder, "on-adapter"), out: join(folder, "merged-on-adapter") });
  expect(readdirSync(join(folder, "fourth", "hub"))).toContain("models--org--adapter");
});

test("data in the place of a model are refused", async () => {
  const refused = align({ ...settings, run: join(folder, "x"), model: "hf-data:org/rows", alignment: "hf:org/world" });
  await expect(refused).rejects.toMatchObject({ code: "HUB_REFERENCE_INVALID", details: { where: "model" } });
});

test("an experiment on the hub's model and data has the same pieces wherever the cache is, and names the model", async () => {
  const data = (name: string) => `hf-data:org/rows:${name}.jsonl`;
  for (const [name, files] of [...hub.repositories]) hub.repositories.set(name, { ...files, revisions: {} });
  const options = {
    out: join(folder, "experiment"),
    model: "hf:org/world",
    methods: ["sft" as const],
    seeds: [0],
    strengths: [{ learningRate: 1e-4 }],
    align: { ...quick, alignment: data("alignment-{seed}") },
    attack: { ...quick, task: data("reviews-{seed}"), poisonRatio: 0, sampleNumber: 20 },
    evaluate: {
      harmful: { path: data("test-harmful"), limit: 4 },
      task: { path: data("test-reviews"), limit: 4 },
      taskMetric: "sst2" as const,
      moderator: "world" as const,
      maxNewTokens: 4,
      taskMaxNewTokens: 4,
    },
    threads: 1,
  };
  const keys = async () => (await dryRun(options)).pieces.map(({ key }) => key);
  const before = await keys();
  process.env.HF_HOME = join(folder, "third");
  expect(await keys()).toEqual(before);
  const { model } = await runExperiment(options);
  expect(model).toBe("world");
});

test("a moderator's model is brought and counts by its content", async () => {
  const moderator = { name: "beaver-dam" as const, model: "hf:org/world" };
  const asked = EvaluateOptions.parse({ run: "x", model: bundledModel(), harmful: "x.jsonl", moderator });
  const resolved = await resolveReferences(EvaluateOptions, asked);
  expect(resolved.moderator).toMatchObject({ model: `hf:org/world@${COMMIT}` });
  expect(asked.moderator).toMatchObject({ model: "hf:org/world" });
  const hashes = await hashesOfFiles(filesInOptions(EvaluateOptions.shape.moderator, resolved.moderator));
  expect(hashes).toEqual({ [`hf:org/world@${COMMIT}`]: await modelIdentity(bundledModel()) });
});
