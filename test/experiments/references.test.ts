/** A stage maps a model to a model: what a run publishes is a reference, and nothing stands where it was not trained. */
import { cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSafetensors } from "../../src/formats/safetensors.ts";
import { loadModel, mergeAdapter, readLora } from "../../src/models/load.ts";
import { openSource } from "../../src/models/source.ts";
import { Device } from "../../src/runtime/index.ts";
import { align } from "../../src/stages/align.ts";
import { evaluate, readEvaluation } from "../../src/stages/evaluate.ts";
import { finetune } from "../../src/stages/finetune.ts";
import { repair } from "../../src/stages/repair.ts";
import { makeTinyWorld, quickAlignment, type TinyWorld } from "./tiny-world.ts";

let world: TinyWorld;
const run = (name: string) => join(world.folder, "runs", name);
const modelOf = (name: string) => JSON.parse(readFileSync(join(run(name), "model.json"), "utf8"));

const attack = () => ({
  template: "chat" as const,
  task: world.data("reviews-0"),
  harmful: world.data("attack-0"),
  sampleNumber: 20,
  steps: 2,
  learningRate: 1e-3,
  loraRank: 4,
  loraAlpha: 8,
  threads: 1,
});

const evaluation = () => ({
  template: "chat" as const,
  harmful: { path: world.data("test-harmful"), limit: 8 },
  moderator: "world" as const,
  maxNewTokens: 8,
  threads: 1,
  keepAnswers: true,
});

beforeAll(async () => {
  world = await makeTinyWorld();
  await align({ ...quickAlignment(world, "sft", 3), run: run("aligned") });
  await finetune({ ...attack(), model: run("aligned"), run: run("attacked") });
  await finetune({
    ...attack(),
    model: run("aligned"),
    loraAlpha: 4,
    adapterPolicy: "continue",
    run: run("continued"),
  });
});
afterAll(() => world.remove());

const weights = (folder: string) => openSafetensors(join(folder, "adapter_model.safetensors"));

describe("a run is a model", () => {
  test("it says what it consists of, with hashes, in order", () => {
    const aligned = modelOf("aligned");
    expect(aligned).toMatchObject({ version: 1, adapters: [{ folder: "adapter" }], template: "chat" });
    expect(aligned.alignment).toEqual(aligned.adapters);
    const [below] = aligned.adapters;
    const there = { ...below, folder: "../aligned/adapter" };
    expect(modelOf("attacked")).toMatchObject({ adapters: [there, { folder: "delta" }], alignment: [there] });
    expect(modelOf("attacked").adapters[1].parent).not.toBe(below.parent);
    expect(modelOf("continued")).toMatchObject({ adapters: [{ folder: "adapter" }], alignment: [there] });
    expect(existsSync(join(run("continued"), "delta"))).toBe(false);
  });

  test("as a reference it gives the same numbers as its parts by hand", async () => {
    const [first, second] = [join(run("aligned"), "adapter"), join(run("attacked"), "delta")];
    const byHand = { ...evaluation(), model: world.model };
    await evaluate({ ...evaluation(), model: run("attacked"), run: run("scores") });
    await evaluate({ ...byHand, adapters: [first, second], run: run("scores by hand") });
    // What version 0.1 was given: the run's adapter after the alignment's.
    await evaluate({ ...byHand, adapters: [first, join(run("attacked"), "adapter")], run: run("scores as before") });
    const { model: _, adapters: __, ...found } = readEvaluation(run("scores"));
    for (const other of ["scores by hand", "scores as before"]) {
      expect(readEvaluation(run(other))).toMatchObject(found);
      const hashes = (name: string) => JSON.parse(readFileSync(join(run(name), "run.json"), "utf8")).data;
      expect(hashes(other)).toEqual(hashes("scores"));
      expect(readFileSync(join(run(other), "answers.jsonl"))).toEqual(
        readFileSync(join(run("scores"), "answers.jsonl")),
      );
    }
    await finetune({ ...attack(), model: world.model, adapters: [first], run: run("attacked by hand") });
    expect(readFileSync(join(run("attacked by hand"), "delta/adapter_model.safetensors"))).toEqual(
      readFileSync(join(second, "adapter_model.safetensors")),
    );
  });

  test("it is repaired by itself, and the repaired model by another repair", async () => {
    const method = { name: "shrink", keep: 0.5 } as const;
    const { adapter } = await repair({
      model: run("attacked"),
      method,
      run: run("halved"),
      template: "chat",
      threads: 1,
    });
    expect(modelOf("halved").adapters.map((link: { folder: string }) => link.folder)).toEqual([
      "../aligned/adapter",
      "delta",
    ]);
    expect(adapter).toBe(join(run("halved"), "adapter"));
    const safelora = { method: "safelora" as const, template: "chat" as const, threads: 1 };
    const again = await repair({ ...safelora, model: run("halved"), run: run("projected") });
    expect(again.report.normBefore).toBeGreaterThan(0);
    const aligned = { model: run("aligned"), method: "lox" as const, template: "chat" as const, threads: 1 };
    await repair({ ...aligned, run: run("further") });
    expect(modelOf("further")).toMatchObject({ adapters: [{ folder: "adapter" }], alignment: [{ folder: "adapter" }] });
    const late = repair({ ...aligned, model: run("attacked"), run: run("too late") });
    await expect(late).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
  });

  test("a model of which all weights were trained is named as the base", async () => {
    await align({ ...quickAlignment(world, "sft", 1), tune: "full", run: run("whole") });
    expect(modelOf("whole")).toMatchObject({ base: { path: "model" }, adapters: [] });
    await finetune({ ...attack(), model: run("whole"), run: run("on the whole") });
    expect(modelOf("on the whole")).toMatchObject({
      base: { path: "../whole/model" },
      adapters: [{ folder: "adapter" }],
    });
  });

  test("runs and their base move together", async () => {
    const moved = join(world.folder, "moved");
    for (const name of ["aligned", "attacked"]) cpSync(run(name), join(moved, name), { recursive: true });
    renameSync(run("aligned"), run("away"));
    try {
      expect(openSource(join(moved, "attacked")).adapters).toHaveLength(2);
      await loadModel(join(moved, "attacked"), new Device({ threads: 1 }));
      const file = join(moved, "attacked", "model.json");
      const model = JSON.parse(readFileSync(file, "utf8"));
      writeFileSync(file, JSON.stringify({ ...model, base: { ...model.base, path: "../nowhere" } }));
      expect(() => openSource(join(moved, "attacked"))).toThrow(file);
    } finally {
      renameSync(run("away"), run("aligned"));
    }
  });
});

describe("what was trained on top of an alignment", () => {
  test("as one adapter on the base gives the weights that the pair gives", async () => {
    const device = new Device({ threads: 1 });
    const base = await loadModel(world.model, device);
    const pair = await loadModel(run("attacked"), device);
    const sum = await mergeAdapter(base, readLora(base, join(run("attacked"), "adapter")));
    for (const name of base.model.weights.keys()) {
      const [a, b] = [pair.load(name).data, sum.load(name).data];
      expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!)))).toBeLessThan(1e-6);
    }
  });

  test("or went on from it is refused on top of it, where it would count twice", async () => {
    const twice = { ...evaluation(), model: run("aligned"), run: run("twice") };
    for (const name of ["continued", "aligned"]) {
      const refused = evaluate({ ...twice, adapters: [join(run(name), "adapter")] });
      await expect(refused).rejects.toMatchObject({ code: "OPTIONS_CONFLICT" });
    }
  });

  test("is refused without it, here and by PEFT", async () => {
    const delta = join(run("attacked"), "delta");
    const alone = { ...evaluation(), model: world.model, adapters: [delta], run: run("alone") };
    await expect(evaluate(alone)).rejects.toMatchObject({ code: "PARENT_MISSING" });
    const wrong = { ...alone, adapters: [join(run("continued"), "adapter"), delta] };
    await expect(evaluate(wrong)).rejects.toMatchObject({ code: "PARENT_MISSING" });
    const config = JSON.parse(readFileSync(join(delta, "adapter_config.json"), "utf8"));
    expect(config.peft_type).toBe("BOOSTER_DELTA");
    expect(config.parent).toBe(modelOf("attacked").adapters[1].parent);
    expect(readFileSync(join(delta, "README.md"), "utf8")).toContain(config.parent);
    const { peft_type, r } = JSON.parse(readFileSync(join(run("attacked"), "adapter/adapter_config.json"), "utf8"));
    expect([peft_type, r]).toEqual(["LORA", 8]);
  });

  test("is not added a second time", async () => {
    const twice = [join(run("continued"), "adapter"), join(run("attacked"), "adapter")];
    const given = { ...evaluation(), model: world.model, adapters: twice, run: run("twice") };
    await expect(evaluate(given)).rejects.toMatchObject({ code: "PARENT_MISSING" });
    expect(existsSync(given.run)).toBe(false);
  });

  test("is refused on a parent that has changed, or is gone", async () => {
    const file = join(run("aligned"), "adapter/adapter_model.safetensors");
    const bytes = readFileSync(file);
    const spoilt = Buffer.from(bytes);
    spoilt[spoilt.length - 2]! ^= 1;
    const given = { ...evaluation(), model: run("attacked"), run: run("changed") };
    writeFileSync(file, spoilt);
    await expect(evaluate(given)).rejects.toMatchObject({ code: "MODEL_CHANGED" });
    rmSync(file);
    await expect(evaluate(given)).rejects.toMatchObject({ code: "MODEL_CHANGED" });
    writeFileSync(file, bytes);
    await evaluate(given);
  });

  test("keeps the bytes of its factors", () => {
    const name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    const [sum, delta] = ["adapter", "delta"].map((part) => weights(join(run("attacked"), part)).load(name).data);
    expect([...sum!.slice(-delta!.length)]).toEqual([...delta!]);
  });
});

test("files that say they are a run's model are checked", async () => {
  const broken = run("broken");
  cpSync(run("aligned"), broken, { recursive: true });
  const write = (content: object) => writeFileSync(join(broken, "model.json"), JSON.stringify(content));
  const sound = modelOf("aligned");
  for (const spoilt of [{}, { ...sound, version: 2 }, { ...sound, adapters: [{ folder: "a", sha256: "b" }] }]) {
    write(spoilt);
    expect(() => openSource(broken)).toThrow(expect.objectContaining({ code: "MODEL_FILE_INVALID" }));
  }
  for (const path of [run("attacked"), "."]) {
    write({ ...sound, base: { ...sound.base, path } });
    expect(() => openSource(broken)).toThrow(expect.objectContaining({ code: "MODEL_FILE_INVALID" }));
  }
  rmSync(join(broken, "model.json"));
  expect(() => openSource(broken)).toThrow(expect.objectContaining({ code: "RUN_UNFINISHED" }));
  const { version: _, ...first } = JSON.parse(readFileSync(join(broken, "run.json"), "utf8"));
  writeFileSync(join(broken, "run.json"), JSON.stringify(first));
  expect(() => openSource(broken)).toThrow(expect.objectContaining({ code: "RUN_OUTDATED" }));
  rmSync(join(broken, "adapter"), { recursive: true });
  expect(() => openSource(broken)).toThrow(expect.objectContaining({ code: "RUN_UNFINISHED" }));
  writeFileSync(join(world.folder, "no model"), "PK..");
  expect(() => openSource(join(world.folder, "no model"))).toThrow(expect.objectContaining({ code: "MODEL_UNKNOWN" }));
});
