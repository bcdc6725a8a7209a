import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { passesOf } from "../../src/experiments/pipeline.ts";
import { parseResult, renderJson, renderTerminalTable } from "../../src/report/index.ts";
import type { Event } from "../../src/train/index.ts";
import { compileProgram } from "../crash/compile.ts";
import { makeTinyWorld, quickAlignment, states, type TinyWorld } from "./tiny-world.ts";

const worker = compileProgram("src/experiments/worker.ts");
let world: TinyWorld;

beforeAll(async () => {
  world = await makeTinyWorld();
});
afterAll(() => {
  world.remove();
});

function grid(out: string) {
  const { model, method: _, threads, ...align } = quickAlignment(world, "sft", 2);
  return {
    out: join(world.folder, out),
    model,
    methods: [{ method: "sft" as const }, { method: { name: "booster" as const, lambda: 1 }, label: "Booster" }],
    strengths: [{ learningRate: 1e-4 }, { learningRate: 1e-3, poisonRatio: 0.5 }],
    seeds: [0],
    align,
    attack: {
      template: "chat" as const,
      task: world.data("reviews-{seed}"),
      harmful: world.data("attack-{seed}"),
      sampleNumber: 20,
      poisonRatio: 0.1,
      epochs: 1,
      loraRank: 4,
      curve: { every: 1, harmful: world.data("test-harmful"), rows: 4, moderator: "world" as const, maxNewTokens: 4 },
    },
    evaluate: {
      template: "chat" as const,
      harmful: { path: world.data("test-harmful"), limit: 4 },
      harmless: { path: world.data("test-harmless"), limit: 4 },
      task: { path: world.data("test-reviews"), limit: 4 },
      taskMetric: "sst2",
      moderator: "world" as const,
      maxNewTokens: 4,
      taskMaxNewTokens: 2,
    },
    threads: threads ?? 1,
  };
}

test("a grid in this process and in two others gives the same numbers, and a second time nothing is computed", async () => {
  const events: Event[] = [];
  const alone = await runExperiment(grid("alone"), { emit: (event) => events.push(event) });
  expect(alone.runs).toHaveLength(4);
  expect(alone.strengths.map(({ steps, poisonRatio }) => [steps, poisonRatio])).toEqual([
    [2, 0.1],
    [2, 0.5],
  ]);
  expect(alone.methods.map(({ cost }) => cost.passes)).toEqual([1, 3]);
  expect(alone.runs[0]?.curve.map(({ step }) => step)).toEqual([0, 1, 2]);
  expect(alone.alignments.map(({ curve }) => curve.length)).toEqual([2, 2]);
  expect(alone.alignments.map(({ data }) => data)).toEqual([
    { rows: 1500, leftOut: 0 },
    { rows: 3500, leftOut: 0 },
  ]);
  expect(alone.runs.map(({ data }) => [data?.rows, data?.leftOut, data?.harmfulRows])).toEqual([
    [20, 0, 2],
    [20, 0, 10],
    [20, 0, 2],
    [20, 0, 10],
  ]);
  for (const { before, after } of alone.runs) expect([before.refusals?.total, after.refusals?.total]).toEqual([4, 4]);
  for (const { cost } of alone.methods) {
    expect(cost.secondsPerStep).toBeCloseTo((cost.seconds ?? 0) / 2, 9);
    expect(cost.megabytes).toBeGreaterThan(50);
    expect(cost.megabytes).toBeLessThanOrEqual((process.resourceUsage().maxRSS * 1024) / 1e6);
  }
  expect(alone.wallSeconds).toBeGreaterThan(alone.methods.reduce((sum, { cost }) => sum + (cost.seconds ?? 0), 0));
  const stages = 2 * (2 + 2 * 2);
  expect(events.filter((event) => event.type === "piece" && event.state === "done")).toHaveLength(stages);
  expect(events.at(-1)).toMatchObject({ done: stages, pieces: stages });

  const shared = await runExperiment({ ...grid("shared"), jobs: 2 }, { worker: worker.path });
  const timeless = ({ methods, wallSeconds: _, ...rest }: typeof alone) => ({
    ...rest,
    methods: methods.map(({ cost: _, ...method }) => method),
  });
  expect(timeless(shared)).toEqual(timeless(alone));

  const again: string[] = [];
  const repeated = await runExperiment(grid("alone"), { emit: states(again) });
  expect(new Set(again)).toEqual(new Set(["skipped"]));
  expect(repeated).toEqual(alone);

  const file = (name: string) => readFileSync(join(world.folder, "alone", name), "utf8");
  expect(renderJson(parseResult(JSON.parse(file("result.json"))))).toBe(renderJson(alone));
  for (const name of ["report.html", "report.md", "results.csv", "results.tex"])
    expect(file(name)).toContain("Booster");
});

test("what diverges is left out, and this is said in the report, in the terminal and to whoever waits", async () => {
  const {
    attack: { curve: _, ...attack },
    evaluate,
    ...rest
  } = grid("diverged");
  const diverging = { learningRate: 1e30, steps: 8, label: "absurd" };
  const options = {
    ...rest,
    attack,
    evaluate: { ...evaluate, task: undefined, harmless: undefined },
    methods: [
      { method: "sft" as const },
      { id: "lost", method: "sft" as const, align: { learningRate: 1e30, steps: 8 } },
    ],
    strengths: [diverging, { learningRate: 1e-4 }],
    jobs: 2,
  };
  const told: string[] = [];
  const left: string[] = [];
  let counted = 0;
  const result = await runExperiment(options, {
    worker: worker.path,
    emit(event) {
      if (event.type === "notice") told.push(event.text);
      if (event.type === "piece" && event.state === "left out") left.push(event.piece);
      if (event.type === "piece") counted = event.done / event.pieces;
    },
  });
  expect(counted).toBe(1);
  expect(left.sort()).toEqual([
    "lost seed 0: align",
    "lost seed 0: attack absurd",
    "lost seed 0: attack absurd, evaluate",
    "lost seed 0: attack lr 1e-4",
    "lost seed 0: attack lr 1e-4, evaluate",
    "lost seed 0: evaluate before the attack",
    "sft seed 0: attack absurd",
    "sft seed 0: attack absurd, evaluate",
  ]);
  expect(result.runs.map(({ method, strength }) => [method, strength])).toEqual([["sft", "lr 1e-4"]]);
  expect(result.strengths.map(({ id }) => id)).toEqual(["lr 1e-4"]);
  expect(result.alignments.map(({ method }) => method)).toEqual(["sft"]);
  const reason = "left out, since 3 steps in a row gave no finite loss and gradient";
  expect(result.notes).toEqual([`lost seed 0, all attacks: ${reason}`, `sft seed 0: attack absurd: ${reason}`]);
  // Pieces read the same files, and what they are is told once.
  const files = told.filter((text) => text.includes(" rows: "));
  expect(files.length).toBe(new Set(files).size);
  expect(told.filter((text) => !files.includes(text)).sort()).toEqual([
    `lost seed 0: align: ${reason}`,
    `sft seed 0: attack absurd: ${reason}`,
  ]);
  const report = readFileSync(join(world.folder, "diverged", "report.html"), "utf8");
  for (const note of result.notes)
    expect([report, renderTerminalTable(result)]).toEqual(Array(2).fill(expect.stringContaining(note)));
  // The same again: nothing is in the way of the next start.
  expect((await runExperiment(options)).notes).toEqual(result.notes);

  const nothing = { ...options, strengths: [diverging] };
  await expect(runExperiment(nothing)).rejects.toMatchObject({ code: "EXPERIMENT_DIVERGED" });
});

test("a base model that holds a NaN is a broken file, not a run that diverged", async () => {
  const model = join(world.folder, "spoilt");
  cpSync(world.model, model, { recursive: true });
  const path = join(model, "model.safetensors");
  const bytes = readFileSync(path);
  bytes.writeFloatLE(Number.NaN, bytes.length - 4);
  writeFileSync(path, bytes);
  await expect(runExperiment({ ...grid("on-nan"), model })).rejects.toMatchObject({
    code: "NON_FINITE_WEIGHT",
    kind: "data",
    message: expect.not.stringMatching(/learning rate/i),
  });
});

test("the passes of a method are what its paper says", () => {
  expect(passesOf({ name: "sft" })).toBe(1);
  expect(passesOf({ name: "booster" })).toBe(3);
});
