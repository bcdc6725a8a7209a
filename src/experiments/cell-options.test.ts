import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { BoosterError } from "../errors.ts";
import { parseOptions } from "../stages/options.ts";
import { attackOptionsOf } from "./cell-options.ts";
import { planExperiment } from "./experiment.ts";
import { ExperimentOptions, MethodEntry } from "./options.ts";
import { pipelineOf } from "./pipeline.ts";

const options = ExperimentOptions.parse({
  out: "runs/x",
  model: "model",
  methods: [{ method: "sft" }],
  strengths: [{ learningRate: 1e-5 }],
  align: { alignment: "refusals-{seed}.jsonl", harmful: "harmful.jsonl", avoid: ["test.jsonl"] },
  attack: { task: "task.jsonl", harmful: "attack.jsonl", avoid: ["test.jsonl", "harmful.jsonl"] },
  evaluate: { harmful: "test.jsonl", moderator: "refusal-phrases" },
});

const attackOf = (name: string) =>
  attackOptionsOf(options, MethodEntry.parse({ method: name }), pipelineOf({ name }), 0, 3);

test("a fine-tuning defence reads the alignment's data, apart from what the alignment avoids and not from itself", () => {
  const lisa = attackOf("lisa");
  expect(lisa).toMatchObject({ alignment: { path: "refusals-3.jsonl" }, defenderAvoid: [{ path: "test.jsonl" }] });
  expect(lisa.defenderHarmful).toBeUndefined();
  const panacea = attackOf("panacea");
  expect(panacea).toMatchObject({
    defenderHarmful: { path: "harmful.jsonl" },
    defenderAvoid: [{ path: "test.jsonl" }],
  });
  expect(panacea.avoid).toMatchObject([{ path: "test.jsonl" }, { path: "harmful.jsonl" }]);
});

test("plain fine-tuning gets no data of the defender", () => {
  const sft = attackOf("sft");
  expect([sft.alignment, sft.defenderHarmful, sft.defenderAvoid]).toEqual([undefined, undefined, undefined]);
});

describe("what would fail hours later is told at once", () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-cells-"));
  const here = (name: string) => join(folder, name);
  for (const name of ["model", "refusals-0.jsonl", "refusals-1.jsonl", "rows.jsonl"]) writeFileSync(here(name), "");
  mkdirSync(here("folder"));
  afterAll(() => rmSync(folder, { recursive: true }));

  const sound = ExperimentOptions.parse({
    out: "runs/x",
    model: here("folder"),
    methods: [{ method: "sft" }],
    strengths: [{ learningRate: 1e-5 }],
    seeds: [0, 1],
    align: { template: "chat", alignment: here("refusals-{seed}.jsonl"), harmful: here("rows.jsonl") },
    attack: { task: here("rows.jsonl"), harmful: here("rows.jsonl") },
    evaluate: { harmful: here("*.jsonl"), moderator: "refusal-phrases" },
  });
  const found = async (changed: object) => {
    try {
      await planExperiment(parseOptions(ExperimentOptions, { ...sound, ...changed }, "experiment"));
    } catch (error) {
      const { code, details } = error as BoosterError;
      return [code, details.where, details.found];
    }
    return undefined;
  };
  const attack = (changed: object) => found({ attack: { ...sound.attack, ...changed } });
  const evaluation = (changed: object) => found({ evaluate: { ...sound.evaluate, ...changed } });

  test("nothing is wrong with what is sound", async () => {
    expect(await found({})).toBeUndefined();
  });

  test("harmful rows that the attack needs", async () => {
    const { harmful: _, ...honest } = sound.attack;
    expect(await found({ attack: honest })).toEqual(["DATA_MISSING", "attack.harmful", "no source"]);
    expect(await found({ attack: { ...honest, poisonRatio: 0 } })).toBeUndefined();
  });

  test("a method that cannot train what it should", async () => {
    expect(await found({ methods: [{ method: "sn-tune" }] })).toEqual(["OPTIONS_CONFLICT", "tune", "tune: lora"]);
    expect(await found({ methods: [{ method: "sn-tune", align: { tune: "full" } }] })).toBeUndefined();
    expect(await found({ methods: [{ method: "salora" }], strengths: [{ tune: "full" }] })).toEqual([
      "OPTIONS_CONFLICT",
      "tune",
      "tune: full",
    ]);
  });

  test("two of one name", async () => {
    const twice = [{ method: "booster" }, { method: { name: "booster", lambda: 1 } }];
    expect(await found({ methods: twice })).toEqual(["OPTIONS_CONFLICT", "methods", "booster"]);
    expect(await found({ methods: [twice[0], { ...twice[1], id: "weaker" }] })).toBeUndefined();
    const strengths = [{ learningRate: 1e-5 }, { poisonRatio: 0.2, label: "lr 1e-5" }];
    expect(await found({ strengths })).toEqual(["OPTIONS_CONFLICT", "strengths", "lr 1e-5"]);
    expect(await found({ seeds: [1, 0, 1] })).toEqual(["OPTIONS_CONFLICT", "seeds", "1"]);
  });

  test("files that are not there, for any seed", async () => {
    const missing = (path: string) => ["DATA_NOT_FOUND", here(path), undefined];
    const path = here("typo.jsonl");
    expect(await attack({ task: path })).toEqual(missing("typo.jsonl"));
    expect(await attack({ curve: { every: 1, harmful: path } })).toEqual(missing("typo.jsonl"));
    expect(await evaluation({ harmful: path })).toEqual(missing("typo.jsonl"));
    expect(await evaluation({ moderator: { name: "classifier", file: path } })).toEqual(missing("typo.jsonl"));
    expect(await found({ seeds: [0, 2] })).toEqual(missing("refusals-2.jsonl"));
    const repairs = { methods: [{ method: "antidote" }], repair: { harmful: path } };
    expect(await found(repairs)).toEqual(missing("typo.jsonl"));
    expect(await found({ repair: { safety: path } })).toEqual(["FILE_NOT_FOUND", path, undefined]);
  });

  test("names that are not there", async () => {
    expect((await evaluation({ task: here("rows.jsonl") }))?.[0]).toBe("TASK_METRIC_MISSING");
    expect((await evaluation({ moderator: "jury" }))?.[0]).toBe("OPTIONS_INVALID");
    expect((await attack({ curve: { every: 1, moderator: "classifier" } }))?.[0]).toBe("OPTIONS_INVALID");
    expect((await found({ strengths: [{ optimizer: "adam" }] }))?.[0]).toBe("OPTIONS_INVALID");
  });

  test("factors that a continued adapter does not have", async () => {
    const continued = (changed: object, strength: object = {}, align: object = {}, own: object = {}) =>
      found({
        methods: [{ method: "sft", attack: own }],
        align: { ...sound.align, loraRank: 16, ...align },
        attack: { ...sound.attack, adapterPolicy: "continue", ...changed },
        strengths: [strength],
      });
    expect(await continued({})).toBeUndefined();
    expect(await continued({ loraRank: 16 }, { loraRank: 16 })).toBeUndefined();
    expect(await continued({ loraAlpha: 8 })).toEqual(["OPTIONS_CONFLICT", "loraAlpha", "8"]);
    expect(await continued({ targetModules: ["q_proj"] })).toEqual(["OPTIONS_CONFLICT", "targetModules", '["q_proj"]']);
    expect(await continued({}, { loraRank: 8 })).toEqual(["OPTIONS_CONFLICT", "loraRank", "8"]);
    expect(await continued({}, { loraRank: 32 })).toEqual(["OPTIONS_CONFLICT", "loraRank", "32"]);
    expect(await continued({}, { loraRank: 32 }, { tune: "full" })).toBeUndefined();
    expect(await continued({ adapterPolicy: "merge-and-fresh" }, { loraRank: 8 })).toBeUndefined();
    // A default that is written out is asked for.
    expect(await continued({ loraRank: 32 })).toEqual(["OPTIONS_CONFLICT", "loraRank", "32"]);
    expect(await continued({}, { loraScale: 1 })).toEqual(["OPTIONS_CONFLICT", "loraAlpha", "32"]);
    // A strength or a method may go another way than the rest.
    expect(await continued({ loraRank: 8 }, { adapterPolicy: "merge-and-fresh" })).toBeUndefined();
    const fresh = { adapterPolicy: "merge-and-fresh" };
    expect(await continued({ loraRank: 8 }, {}, {}, fresh)).toBeUndefined();
    expect(await continued({ ...fresh, loraRank: 8 }, {}, {}, { adapterPolicy: "continue" })).toEqual([
      "OPTIONS_CONFLICT",
      "loraRank",
      "8",
    ]);
  });

  test("a repair of factors that a continued adapter has none of", async () => {
    const continued = (method: object) =>
      found({ methods: [{ method: ["sft", method] }], attack: { ...sound.attack, adapterPolicy: "continue" } });
    const repair = { name: "antidote", score: "magnitude" };
    expect((await continued(repair))?.[0]).toBe("TRANSFORM_UNFIT");
    expect(await continued({ ...repair, target: "delta" })).toBeUndefined();
    expect(await found({ methods: [{ method: ["sft", repair] }] })).toBeUndefined();
  });

  test("all weights that cannot be trained", async () => {
    const whole = { strengths: [{ tune: "full" }] };
    const continued = { attack: { ...sound.attack, adapterPolicy: "continue" } };
    expect(await found({ ...whole, ...continued })).toEqual(["OPTIONS_CONFLICT", "adapterPolicy", undefined]);
    const rebuilt = { methods: [{ method: "sft", align: { tune: "full" } }] };
    expect(await found({ ...whole, ...continued, ...rebuilt })).toBeUndefined();
    expect((await found({ ...whole, model: here("model") }))?.[0]).toBe("MODEL_UNKNOWN");
  });
});
