/** What version 0.1 wrote opens and goes on, or ends in one error that names `booster upgrade`. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { runExperiment } from "../src/experiments/experiment.ts";
import { openSafetensors } from "../src/formats/safetensors.ts";
import { loadModel, mergeAdapter, readLora } from "../src/models/load.ts";
import { openSource } from "../src/models/source.ts";
import { Device } from "../src/runtime/index.ts";
import { evaluate } from "../src/stages/evaluate.ts";
import { finetune } from "../src/stages/finetune.ts";
import { repair } from "../src/stages/repair.ts";
import { upgrade } from "../src/stages/upgrade.ts";
import { type Event, readMetrics } from "../src/train/index.ts";

const FIXTURES = "test/fixtures-0.1";
let folder: string;
let house: string;
const run = (name: string) => join(folder, "runs", name);
const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));
const configOf = (name: string) => parse(readFileSync(join(FIXTURES, name), "utf8"));
const factors = (path: string) => readFileSync(join(path, "adapter_model.safetensors"));
const outdated = expect.objectContaining({ code: "RUN_OUTDATED", message: expect.stringContaining("booster upgrade") });

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "booster-0.1-"));
  // Paths are as they were: the bundled model of version 0.1 stands where the runs look for it.
  house = mkdtempSync(join(tmpdir(), "booster-0.1-house-"));
  symlinkSync(import.meta.dirname, join(house, "test"));
  symlinkSync(join(import.meta.dirname, "fixtures-0.1", "assets"), join(house, "assets"));
  process.chdir(house);
  cpSync(FIXTURES, folder, { recursive: true });
});
afterAll(() => {
  for (const made of [folder, house]) rmSync(made, { recursive: true });
});

describe("before it is converted", () => {
  test("a run is not taken for a model, and not gone on with", async () => {
    expect(() => openSource(run("attacked"))).toThrow(outdated);
    const given = { ...configOf("finetune.yaml"), run: run("attacked"), resume: true };
    await expect(finetune(given)).rejects.toEqual(outdated);
  });

  test("an adapter that was trained on others is not taken for one of the base", async () => {
    const { run: _, ...asked } = { ...configOf("finetune.yaml"), adapters: [join(run("attacked"), "adapter")] };
    await expect(finetune({ ...asked, run: run("alone") })).rejects.toEqual(outdated);
  });

  test("an experiment says so before any work", async () => {
    const options = { ...configOf("experiment.yaml"), out: join(folder, "experiment") };
    await expect(runExperiment(options)).rejects.toEqual(outdated);
    expect(readdirSync(join(folder, "experiment/evaluate"))).toHaveLength(2);
  });

  test("an unfinished run goes on as it is, in the template that it began with", async () => {
    const halted = run("halted");
    const { template: _, ...rest } = configOf("finetune.yaml");
    const begun = readMetrics(join(halted, "metrics.jsonl")).slice(0, 5);
    // The parent is found by its hash, wherever it lies.
    const given = { ...rest, steps: 60, checkpointEvery: 5, maxTokens: 512, run: halted, resume: true };
    const moved = { ...given, adapters: [join(run("aligned"), "adapter")] };
    expect(await finetune(moved)).toMatchObject({ outcome: "finished", step: 60 });
    expect(readMetrics(join(halted, "metrics.jsonl"))).toHaveLength(60);
    expect(readMetrics(join(halted, "metrics.jsonl")).slice(0, 5)).toEqual(begun);
    expect(json(halted, "model.json")).toMatchObject({ template: "alpaca", adapters: [{}, { folder: "delta" }] });
  });
});

describe("converted", () => {
  test("what stood on other adapters is a delta, and adapter/ the sum", async () => {
    const before = new Map(
      ["aligned", "attacked", "continued", "repaired"].map((name) => [name, factors(join(run(name), "adapter"))]),
    );
    const { converted, others } = await upgrade(folder);
    expect(converted).toHaveLength(8);
    expect(others.toSorted()).toEqual(
      [
        run("halted"),
        run("scores"),
        ...readdirSync(join(folder, "experiment/evaluate")).map((key) => join(folder, "experiment/evaluate", key)),
      ].toSorted(),
    );
    for (const [name, parts] of [
      ["aligned", ["adapter"]],
      ["attacked", ["../aligned/adapter", "delta"]],
      ["continued", ["adapter"]],
      ["repaired", ["../aligned/adapter", "delta"]],
    ] as const) {
      const { adapters, alignment, template } = json(run(name), "model.json");
      expect(adapters.map((link: { folder: string }) => link.folder)).toEqual(parts);
      expect(alignment).toHaveLength(1);
      expect(template).toBe("chat");
      expect(factors(join(run(name), parts.at(-1) as string))).toEqual(before.get(name));
    }
    const device = new Device({ threads: 1 });
    const base = await loadModel("assets/world", device);
    const pair = await loadModel(run("attacked"), device);
    const sum = await mergeAdapter(base, readLora(base, join(run("attacked"), "adapter")));
    const name = "model.layers.0.self_attn.q_proj.weight";
    const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
      Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
    expect(distance(pair.load(name).data, sum.load(name).data)).toBeLessThan(1e-6);
    expect(distance(pair.load(name).data, base.load(name).data)).toBeGreaterThan(1e-4);
    expect(await upgrade(folder)).toMatchObject({ converted: [] });
  });

  test("a conversion that was killed before its end is done again", async () => {
    const again = join(folder, "again");
    cpSync(FIXTURES, again, { recursive: true });
    await upgrade(join(again, "runs"));
    const whole = factors(join(again, "runs/attacked/adapter"));
    rmSync(join(again, "runs/attacked/model.json"));
    const { converted } = await upgrade(join(again, "runs"));
    expect(converted).toEqual([join(again, "runs/attacked")]);
    expect(factors(join(again, "runs/attacked/adapter"))).toEqual(whole);
    rmSync(again, { recursive: true });
  });

  test("a repair has the template of what it changed, not that in which it read its own data", async () => {
    const other = join(folder, "other");
    cpSync(FIXTURES, other, { recursive: true });
    const file = join(other, "runs/repaired/run.json");
    const { config, ...rest } = json(file);
    writeFileSync(file, JSON.stringify({ ...rest, config: { ...config, template: "alpaca" } }));
    await upgrade(other);
    expect(json(other, "runs/repaired/model.json").template).toBe("chat");
    rmSync(other, { recursive: true });
  });

  test("a run whose parent is not there is refused", async () => {
    const spoilt = join(folder, "spoilt");
    cpSync(join(FIXTURES, "runs/attacked"), join(spoilt, "attacked"), { recursive: true });
    // Under its path there is one that nobody has converted.
    await expect(upgrade(spoilt)).rejects.toMatchObject({ code: "RUN_OUTDATED" });
    expect(existsSync(join(spoilt, "attacked/model.json"))).toBe(false);
    rmSync(spoilt, { recursive: true });
  });

  test("it is evaluated and repaired with the numbers of version 0.1", async () => {
    const { harm } = json(FIXTURES, "runs/scores/evaluation.json");
    const { run: _, ...asked } = {
      run: "",
      harmful: join(FIXTURES, "data/test-harmful.jsonl"),
      moderator: "world" as const,
      maxNewTokens: 4,
      threads: 1,
    };
    expect((await evaluate({ ...asked, model: run("attacked"), run: run("scores again") })).harm).toEqual(harm);
    await repair({ model: run("attacked"), method: "shrink", threads: 1, run: run("repaired again") });
    const [now, then] = [join(run("repaired again"), "delta"), join(FIXTURES, "runs/repaired/adapter")].map((path) =>
      openSafetensors(join(path, "adapter_model.safetensors")),
    );
    for (const name of then!.entries.keys()) expect(now!.load(name)).toEqual(then!.load(name));
  });

  test("an experiment goes on, and computes nothing again", async () => {
    const events: Event[] = [];
    const options = { ...configOf("experiment.yaml"), out: join(folder, "experiment") };
    const before = json(options.out, "result.json");
    const { runs } = await runExperiment(options, { emit: (event) => events.push(event) });
    const pieces = events.flatMap((event) =>
      event.type === "piece" && event.state !== "started" ? [event.state] : [],
    );
    expect(pieces.filter((state) => state === "done")).toHaveLength(1);
    expect(pieces.filter((state) => state === "skipped")).toHaveLength(pieces.length - 1);
    // What later versions tell beside it may come.
    expect(runs).toMatchObject(before.runs);
  });
});
