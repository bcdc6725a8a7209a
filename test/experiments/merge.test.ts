import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAdapter } from "../../src/formats/peft.ts";
import { changesOf } from "../../src/models/adapters.ts";
import { loadModel } from "../../src/models/load.ts";
import { openSource } from "../../src/models/source.ts";
import { Device } from "../../src/runtime/index.ts";
import { align } from "../../src/stages/align.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { merge } from "../../src/stages/merge.ts";
import { normOf } from "../../src/tensor/matrix.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
const at = (name: string) => join(world.folder, name);

beforeAll(async () => {
  world = await makeTinyWorld();
  await align({ ...quickAlignment(world, "sft", 2), run: at("aligned") });
  const attack = { task: world.data("reviews-0"), poisonRatio: 0, sampleNumber: 4, steps: 2, loraRank: 4, threads: 1 };
  await finetune({ ...attack, model: at("aligned"), run: at("attacked"), learningRate: 1e-3 });
});
afterAll(() => world.remove());

test("a model folder with the weights that the run computes with, and all that its loader reads", async () => {
  expect(await merge({ model: at("attacked"), out: at("merged") })).toEqual({ out: at("merged"), adapters: 2 });
  const device = new Device({ threads: 1 });
  const [run, folder] = [await loadModel(at("attacked"), device), await loadModel(at("merged"), device)];
  for (const name of run.model.weights.keys()) expect(folder.load(name)).toEqual(run.load(name));
  expect(readdirSync(at("merged")).toSorted()).toEqual(readdirSync(world.model).toSorted());
  expect(openSource(at("merged")).adapters).toEqual([]);
  expect(folder.tokenizer.chatTemplate).toBe(run.tokenizer.chatTemplate);
});

test("one adapter of a smaller rank, with its error", async () => {
  const { rank, error = 0 } = await merge({ model: at("attacked"), out: at("small"), rank: 3 });
  expect(rank).toBe(3);
  const [whole, small] = [join(at("attacked"), "adapter"), at("small")].map((path) => changesOf(readAdapter(path)));
  const lost = [...whole!].map(([module, { data }]) => ({
    data: data.map((value, i) => value - (small!.get(module)?.data[i] ?? 0)),
  }));
  expect(error).toBeGreaterThan(0);
  expect(error).toBeCloseTo(normOf(lost) / normOf(whole!.values()), 4);
  const { rank: all, error: none } = await merge({ model: at("attacked"), out: at("as large"), rank: 100 });
  expect([all, none]).toEqual([8, 0]);
});

test("nothing is written over, and nothing made of nothing", async () => {
  mkdirSync(at("taken"));
  writeFileSync(join(at("taken"), "notes.txt"), "mine");
  await expect(merge({ model: at("attacked"), out: at("taken") })).rejects.toMatchObject({ code: "RUN_EXISTS" });
  const bare = merge({ model: world.model, out: at("none"), rank: 2 });
  await expect(bare).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
});
