import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readAdapter } from "../../src/formats/peft.ts";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { changesOf } from "../../src/models/adapters.ts";
import { loadModel } from "../../src/models/load.ts";
import { openSource } from "../../src/models/source.ts";
import { Device } from "../../src/runtime/index.ts";
import { align } from "../../src/stages/align.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { merge } from "../../src/stages/merge.ts";
import { Workbench } from "../../src/stages/workbench.ts";
import { normOf } from "../../src/tensor/matrix.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { expectClose } from "../transform-context.ts";
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

/** The alignment's adapter with other settings and further tensors. */
function variant(name: string, changes: object, more: ReadonlyMap<string, HostTensor> = new Map()): string {
  const from = join(at("aligned"), "adapter");
  mkdirSync(at(name));
  const config = JSON.parse(readFileSync(join(from, "adapter_config.json"), "utf8"));
  writeFileSync(join(at(name), "adapter_config.json"), JSON.stringify({ ...config, ...changes }));
  const tensors = readSafetensors(join(from, "adapter_model.safetensors"));
  writeSafetensors(join(at(name), "adapter_model.safetensors"), new Map([...tensors, ...more]));
  return at(name);
}

test("what is more than LoRA factors is used and merged, and not gone on from before", async () => {
  const { model } = await loadModel(world.model, new Device({ threads: 1 }));
  const norm = tensor("float32", [model.hiddenSize], new Float32Array(model.hiddenSize).fill(3));
  const saved = variant(
    "saved",
    { modules_to_save: ["model.norm"] },
    new Map([["base_model.model.model.norm.weight", norm]]),
  );
  const bench = new Workbench({ provider: "cpu", threads: 1 });
  const origin = await bench.open({ model: world.model, adapters: [saved] });
  const { base, lora } = await bench.start(origin, "keep", { purpose: "use" });
  expect([base.load("model.norm.weight"), lora]).toEqual([norm, undefined]);
  const attack = { task: world.data("reviews-0"), poisonRatio: 0, sampleNumber: 4, steps: 1, threads: 1 };
  const onTop = finetune({ ...attack, model: world.model, adapters: [saved], run: at("never") });
  await expect(onTop).rejects.toThrow(/more than LoRA factors.*model\.norm\.weight.*booster merge/);
  expect(existsSync(at("never"))).toBe(false);
  await merge({ model: world.model, adapters: [saved], out: at("saved merged") });
  expect(openSource(at("saved merged")).base.weights().load("model.norm.weight")).toEqual(norm);
});

test("factors whose scales differ are merged, and not trained on", async () => {
  const adapters = [variant("scaled", { alpha_pattern: { "layers.0.self_attn.q_proj": 1 } })];
  const attack = { task: world.data("reviews-0"), poisonRatio: 0, sampleNumber: 4, steps: 1, threads: 1, adapters };
  const continued = finetune({ ...attack, model: world.model, adapterPolicy: "continue", run: at("continued") });
  await expect(continued).rejects.toThrow(/scales of their own.*merge-and-fresh/);
  await finetune({ ...attack, model: world.model, loraRank: 2, run: at("fresh") });
  const [whole, delta] = ["adapter", "delta"].map((name) => changesOf(readAdapter(join(at("fresh"), name))));
  const below = changesOf(readAdapter(at("scaled")));
  for (const [module, { data }] of whole!) {
    const parts = [below, delta!].map((part) => part.get(module)?.data);
    expectClose(
      data,
      data.map((_, i) => parts.reduce((sum, part) => sum + (part?.[i] ?? 0), 0)),
      5,
    );
  }
});

test("nothing is written over, and nothing made of nothing", async () => {
  mkdirSync(at("taken"));
  writeFileSync(join(at("taken"), "notes.txt"), "mine");
  await expect(merge({ model: at("attacked"), out: at("taken") })).rejects.toMatchObject({ code: "RUN_EXISTS" });
  const bare = merge({ model: world.model, out: at("none"), rank: 2 });
  await expect(bare).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
});
