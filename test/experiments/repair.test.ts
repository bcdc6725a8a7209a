import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { z } from "zod";
import { readAdapter, writeAdapter } from "../../src/formats/peft.ts";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { TRANSFORMS } from "../../src/methods/registry.ts";
import { changesOf } from "../../src/models/adapters.ts";
import { align } from "../../src/stages/align.ts";
import { finetune } from "../../src/stages/finetune.ts";
import type { RepairOptions } from "../../src/stages/options.ts";
import { readRepair, repair } from "../../src/stages/repair.ts";
import { expectClose } from "../transform-context.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

const WEIGHTS = "adapter_model.safetensors";
const FACTOR = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

let world: TinyWorld;
let aligned: string;
let attacked: string;
let continued: string;
const run = (name: string) => join(world.folder, "runs", name);

beforeAll(async () => {
  world = await makeTinyWorld();
  const base = { model: world.model, template: "chat" as const, loraRank: 4, learningRate: 1e-3, threads: 1 };
  aligned = (await align({ ...quickAlignment(world, "sft", 3), run: run("aligned") })).adapter ?? "";
  const attack = {
    ...base,
    task: world.data("reviews-0"),
    harmful: world.data("attack-0"),
    sampleNumber: 20,
    steps: 2,
    adapters: [aligned],
  };
  attacked = (await finetune({ ...attack, run: run("attacked") })).adapter ?? "";
  continued = (await finetune({ ...attack, adapterPolicy: "continue", run: run("continued") })).adapter ?? "";
});
afterAll(() => world.remove());

const options = (name: string, method: z.input<typeof RepairOptions>["method"]) => ({
  model: world.model,
  template: "chat" as const,
  adapters: [aligned, attacked],
  method,
  harmful: { path: world.data("harmful-0"), limit: 5 },
  alignment: { path: world.data("alignment-0"), limit: 5 },
  threads: 1,
  run: run(name),
});

test.each(TRANSFORMS.rows)(
  "$name of a trained adapter: the same bytes twice, and a report",
  async ({ name, stage }) => {
    const adapters = stage === "align" ? [aligned] : [aligned, attacked];
    const first = await repair({ ...options(`${name} 1`, name), adapters });
    const second = await repair({ ...options(`${name} 2`, name), adapters });
    const bytes = (folder: string) => readFileSync(join(folder, "adapter_model.safetensors")).toString("base64");
    expect(bytes(second.adapter) === bytes(first.adapter)).toBe(true);
    const report = readRepair(first.run);
    expect(report).toEqual(first.report);
    expect(report.method).toBe(name);
    expect(report.normBefore).toBeGreaterThan(0);
    expect(Number.isFinite(report.normAfter) && Number.isFinite(report.moved)).toBe(true);
    expect(report.moved).toBeGreaterThan(0);
    const described = JSON.parse(readFileSync(join(first.run, "run.json"), "utf8"));
    expect(described.config).toMatchObject({ stage: "repair", method: { name } });
    expect(Object.keys(described.data)).toEqual(
      expect.arrayContaining(["model", ...adapters.map((_, i) => `adapter ${i + 1}`)]),
    );
  },
);

test("what changes an alignment refuses the adapter of a user", async () => {
  const given = options("extrapolated", "lox");
  await expect(repair(given)).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
  expect(existsSync(given.run)).toBe(false);
  const { report } = await repair({ ...given, adapters: [aligned] });
  expect(report.normAfter / report.normBefore).toBeCloseTo(2, 6);
  expect(report.moved / report.normBefore).toBeCloseTo(1, 6);
});

test("antidote reads harmful rows, and everything pruned leaves the aligned model", async () => {
  const some = await repair(options("some", { name: "antidote", denseRatio: 0.25 }));
  expect(some.report.pruned).toBeGreaterThan(0);
  expect(JSON.parse(readFileSync(join(some.run, "data.json"), "utf8"))).toMatchObject({ harmful: { rows: 5 } });
  const all = await repair(options("all", { name: "antidote", denseRatio: 1 }));
  expect(all.report.normAfter).toBe(0);
  const { harmful: _, ...blind } = options("blind", "antidote");
  await expect(repair(blind)).rejects.toMatchObject({ code: "DATA_MISSING" });
  expect(existsSync(blind.run)).toBe(false);
});

test("of a continued adapter only what it adds to the alignment is repaired", async () => {
  const given = { ...options("kept", { name: "shrink", keep: 0.5 }), adapters: [aligned, continued] };
  const { run: folder, adapter } = await repair({ ...given, adapterPolicy: "continue" });
  const known = await repair({ ...given, model: run("continued"), adapters: [], run: run("kept of a run") });
  expect(openSafetensors(join(known.adapter, WEIGHTS)).load(FACTOR)).toEqual(
    openSafetensors(join(adapter, WEIGHTS)).load(FACTOR),
  );
  const [start, end, repaired] = [aligned, continued, join(folder, "delta")].map((folder) =>
    changesOf(readAdapter(folder)),
  );
  for (const [module, { data }] of repaired as typeof start & object) {
    const [from, to] = [start?.get(module)?.data ?? [], end?.get(module)?.data ?? []];
    expectClose(
      data,
      data.map((_, i) => 0.5 * ((to[i] ?? 0) - (from[i] ?? 0))),
      6,
    );
  }
  await expect(
    repair({ ...given, run: run("alone"), adapters: [continued], adapterPolicy: "continue" }),
  ).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
});

test("Safe LoRA needs to know the alignment: an adapter below, or the unaligned model", async () => {
  const given = { ...options("unknown", "safelora"), adapters: [attacked] };
  await expect(repair(given)).rejects.toMatchObject({ code: "ALIGNMENT_MISSING" });
  // The model is the unaligned one here: its change is zero, and so is every projection.
  const { report } = await repair({ ...given, run: run("same"), unaligned: world.model });
  expect(report.normAfter).toBe(0);
  const late = repair({ ...given, run: run("no base"), unaligned: run("aligned") });
  await expect(late).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
});

test("an adapter that comes out as it went in is an error where the repair must change it", async () => {
  const { config, tensors } = readAdapter(attacked);
  const zero = [...tensors].map(([name, factor]) => [name, { ...factor, data: factor.data.map(() => 0) }] as const);
  writeAdapter(run("zero"), config, new Map(zero), { baseModel: world.model });
  const given = { ...options("nothing", "antidote"), adapters: [aligned, run("zero")] };
  await expect(repair(given)).rejects.toMatchObject({ code: "NOTHING_REPAIRED" });
  expect(existsSync(given.run)).toBe(false);
  const same = await repair(options("same as before", { name: "shrink", keep: 1 }));
  expect(same.report.moved).toBe(0);
});

test("SafeMERGE merges with the alignment's adapter, or with another one of the same shape", async () => {
  const method = { name: "safemerge", threshold: 2 } as const;
  const merged = await repair(options("merged", method));
  expect(merged.report).toMatchObject({ merged: 9, matrices: 9 });
  const other = await repair({ ...options("merged with another", method), safety: continued });
  expect(other.report.normAfter).not.toBe(merged.report.normAfter);
  const alone = { ...options("merged alone", method), adapters: [attacked], unaligned: world.model };
  await expect(repair(alone)).rejects.toMatchObject({ code: "SAFETY_ADAPTER_MISSING" });
});

test("a stop is told, and the run goes on when asked again", async () => {
  const given = options("stopped", "antidote");
  const signal = AbortSignal.abort("test");
  await expect(repair(given, { signal })).rejects.toMatchObject({ code: "STOPPED" });
  expect(existsSync(given.run)).toBe(false);
  expect((await repair({ ...given, resume: true })).report.pruned).toBeGreaterThan(0);
  await expect(repair({ ...options("odd", "magic" as never) })).rejects.toMatchObject({ code: "OPTIONS_INVALID" });
});
