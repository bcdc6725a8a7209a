import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { z } from "zod";
import { runExperiment } from "../../src/experiments/experiment.ts";
import type { ExperimentOptions } from "../../src/experiments/options.ts";
import { hyperparametersOf, pipelineName, pipelineOf } from "../../src/experiments/pipeline.ts";
import { DEFENCES } from "../../src/methods/registry.ts";
import { openSource } from "../../src/models/source.ts";
import type { Event } from "../../src/train/index.ts";
import { computed, makeTinyWorld, quickAlignment, states, type TinyWorld } from "./tiny-world.ts";

/** The adapters of the model that a run made. */
const stackOf = (run: string) => openSource(run).adapters.map(({ folder }) => folder);

describe("a list of methods", () => {
  const named = (...names: string[]) => names.map((name) => ({ name }));

  test("is put in stages, whatever its order; what is missing is plain", () => {
    expect(pipelineOf({ name: "booster" })).toMatchObject({
      alignment: { name: "booster" },
      alignmentTransforms: [],
      fineTuning: undefined,
      repairs: [],
    });
    const lisa = { name: "lisa", rho: 0.5 };
    const antidote = { name: "antidote", denseRatio: 0.2 };
    expect(pipelineOf([antidote, lisa, { name: "vaccine" }, { name: "shrink" }])).toMatchObject({
      alignment: { name: "vaccine" },
      alignmentTransforms: [],
      fineTuning: lisa,
      repairs: [antidote, { name: "shrink" }],
    });
    expect(pipelineOf(named("lisa", "lox", "vaccine"))).toMatchObject({
      alignment: { name: "vaccine" },
      alignmentTransforms: [{ name: "lox" }],
      fineTuning: { name: "lisa" },
      repairs: [],
    });
    expect(pipelineOf(named("antidote"))).toMatchObject({ alignment: { name: "sft" }, fineTuning: undefined });
  });

  test("trains once a stage, and every name and setting is checked", () => {
    const refused = (method: Parameters<typeof pipelineOf>[0], code: string) =>
      expect(() => pipelineOf(method)).toThrow(expect.objectContaining({ code }));
    refused(named("booster", "vaccine"), "OPTIONS_CONFLICT");
    refused(named("lisa", "ldifs"), "OPTIONS_CONFLICT");
    refused(named("magic"), "UNKNOWN_METHOD");
    refused({ name: "booster", colour: 1 }, "METHOD_OPTIONS_INVALID");
    refused([{ name: "booster" }, { name: "shrink", keep: 2 }], "METHOD_OPTIONS_INVALID");
  });

  test("has one name and the settings of all its stages", () => {
    const method = [{ name: "booster", lambda: 2 }, { name: "shrink" }];
    expect(pipelineName(method)).toBe("booster+shrink");
    expect(pipelineName({ name: "sft" })).toBe("sft");
    expect(hyperparametersOf(method)).toMatchObject({ "booster.lambda": 2, "booster.alpha": 0.1, "shrink.keep": 0.5 });
    expect(hyperparametersOf({ name: "shrink" })).toEqual({ keep: 0.5 });
  });

  test("no name means two things", () => {
    const names = DEFENCES.rows.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
  });
});

describe("an experiment", () => {
  let world: TinyWorld;
  beforeAll(async () => {
    world = await makeTinyWorld();
  });
  afterAll(() => world.remove());

  const experiment = (adapterPolicy: "continue" | "merge-and-fresh") => {
    const { model, method: _, threads, ...align } = quickAlignment(world, "sft", 2);
    return {
      out: join(world.folder, adapterPolicy),
      model,
      methods: [
        "sft",
        { method: ["lisa", { name: "antidote", denseRatio: 0.25, target: "delta" }, "shrink"], label: "All of it" },
      ] satisfies z.input<typeof ExperimentOptions>["methods"],
      strengths: [{ learningRate: 1e-3 }],
      seeds: [0],
      align,
      attack: {
        template: "chat" as const,
        task: world.data("reviews-{seed}"),
        harmful: world.data("attack-{seed}"),
        sampleNumber: 20,
        adapterPolicy,
        steps: 2,
        loraRank: 4,
      },
      repair: { harmful: { path: world.data("harmful-{seed}"), limit: 3 } },
      evaluate: {
        template: "chat" as const,
        harmful: { path: world.data("test-harmful"), limit: 2 },
        moderator: "world" as const,
        maxNewTokens: 2,
      },
      threads: threads ?? 1,
    };
  };

  test("Vaccine, then Lisa, then Antidote, in whatever order they are listed", async () => {
    const options = experiment("merge-and-fresh");
    const out = join(world.folder, "three-stages");
    const lisa = { name: "lisa" as const, alignmentSteps: 1, userSteps: 1 };
    const method = ["antidote" as const, lisa, { name: "vaccine" as const, rho: 0.5 }];
    const events: string[] = [];
    const result = await runExperiment(
      { ...options, out, methods: [{ id: "all", method }] },
      { emit: computed(events) },
    );
    const attack = "all seed 0: attack lr 1e-3";
    expect(events).toEqual([
      "all seed 0: align",
      "all seed 0: evaluate before the attack",
      attack,
      `${attack}: antidote`,
      `${attack}, evaluate`,
    ]);
    const methodOf = (stage: string) => {
      const [run = ""] = readdirSync(join(out, stage));
      return JSON.parse(readFileSync(join(out, stage, run, "run.json"), "utf8")).config.method.name;
    };
    expect(["align", "attack", "repair"].map(methodOf)).toEqual(["vaccine", "lisa", "antidote"]);
    expect(result.methods[0]?.cost).toMatchObject({ passes: 2, fineTuning: { passes: 1 } });
  });

  test.each(["merge-and-fresh", "continue"] as const)(
    "runs every stage once and shares the alignment, %s",
    async (policy) => {
      const events: string[] = [];
      const options = experiment(policy);
      const emit = (event: Event) => {
        if (event.type !== "piece" || event.state === "started") return;
        events.push(`${event.done}/${event.pieces} ${event.piece} ${event.state}`);
      };
      const result = await runExperiment(options, { emit });
      const attack = "attack lr 1e-3";
      const list = "lisa+antidote+shrink seed 0";
      expect(events).toEqual([
        "1/8 sft seed 0: align done",
        "2/8 sft seed 0: evaluate before the attack done",
        `3/8 sft seed 0: ${attack} done`,
        `4/8 sft seed 0: ${attack}, evaluate done`,
        `5/8 ${list}: ${attack} done`,
        `6/8 ${list}: ${attack}: antidote done`,
        `7/8 ${list}: ${attack}: shrink done`,
        `8/8 ${list}: ${attack}, evaluate done`,
      ]);
      expect(result.methods.map(({ id, name }) => [id, name])).toEqual([
        ["sft", "sft"],
        ["lisa+antidote+shrink", "All of it"],
      ]);
      const json = (...path: string[]) => JSON.parse(readFileSync(join(options.out, ...path), "utf8"));
      const runs = (stage: string) => readdirSync(join(options.out, stage));
      const [align = ""] = runs("align");
      const aligned = join(options.out, "align", align, "adapter");
      const shrunk = runs("repair").find((run) => json("repair", run, "repair.json").method === "shrink") ?? "";
      const stacks = runs("evaluate").map((run) => stackOf(json("evaluate", run, "evaluation.json").model));
      expect(stacks).toHaveLength(3);
      expect(stacks).toContainEqual([aligned, join(options.out, "repair", shrunk, "delta")]);
      expect(stacks.filter((stack) => stack.length === 1)).toHaveLength(policy === "continue" ? 2 : 1);
      const pruned = runs("repair").find((run) => run !== shrunk) ?? "";
      const { config } = json("repair", pruned, "run.json");
      expect(config).toMatchObject({ method: { name: "antidote" }, adapterPolicy: policy, template: "chat", seed: 0 });
      expect(json("repair", pruned, "data.json")).toMatchObject({ harmful: { rows: 3 } });
      const methods = runs("attack").map((run) => json("attack", run, "run.json").config);
      expect(methods.map(({ method }) => method.name).sort()).toEqual(["lisa", "sft"]);
      expect(methods.find(({ method }) => method.name === "lisa").alignment).toEqual({
        path: world.data("alignment-0"),
      });
      expect(methods.find(({ method }) => method.name === "sft")).not.toHaveProperty("alignment");
      const again: string[] = [];
      await runExperiment(options, { emit: states(again) });
      expect(new Set(again)).toEqual(new Set(["skipped"]));
    },
  );

  test.each(["merge-and-fresh", "continue"] as const)(
    "changes the alignment before it is evaluated and attacked, %s",
    async (policy) => {
      const events: string[] = [];
      const given = experiment(policy);
      const options = { ...given, methods: [["lox" as const, "sft" as const]], out: join(given.out, "lox") };
      await runExperiment(options, { emit: computed(events) });
      const list = "lox+sft seed 0";
      expect(events).toEqual([
        `${list}: align`,
        `${list}: lox`,
        `${list}: evaluate before the attack`,
        `${list}: attack lr 1e-3`,
        `${list}: attack lr 1e-3, evaluate`,
      ]);
      const run = (stage: string) => join(options.out, stage, readdirSync(join(options.out, stage))[0] ?? "");
      const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));
      const extrapolated = join(run("repair"), "adapter");
      const { config } = json(run("attack"), "run.json");
      expect(config).toMatchObject({ model: run("repair"), adapterPolicy: policy });
      const stacks = readdirSync(join(options.out, "evaluate")).map((run) =>
        stackOf(json(options.out, "evaluate", run, "evaluation.json").model),
      );
      expect(stacks).toHaveLength(2);
      expect(stacks).toContainEqual([extrapolated]);
      expect(stacks).toContainEqual(
        policy === "continue" ? [join(run("attack"), "adapter")] : [extrapolated, join(run("attack"), "delta")],
      );
    },
  );
});
