/** The paper's experiments that the package brings along: each can be planned at every scale, and in the bundled world one cell of it runs. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fieldsOf } from "../../src/cli/fields.ts";
import { readRecipe, readScales, recipeFile, recipeNames } from "../../src/cli/recipe-file.ts";
import { resolveConfig } from "../../src/cli/resolve-config.ts";
import { checkExperiment } from "../../src/experiments/cell-options.ts";
import { runExperiment } from "../../src/experiments/experiment.ts";
import { ExperimentOptions } from "../../src/experiments/options.ts";
import { sizeOf } from "../../src/experiments/recipe-size.ts";
import { isOffered, SCALES, type ScaleName, WORLD_DATA } from "../../src/experiments/recipes.ts";
import { writeWorldData } from "../../src/stages/world-files.ts";

const scales = readScales();
const fields = fieldsOf(ExperimentOptions);
const optionsOf = (name: string, scale: ScaleName): ExperimentOptions =>
  resolveConfig(ExperimentOptions, fields, recipeFile(name, scale, scales), []);
const offered = (scale: ScaleName): string[] =>
  recipeNames().flatMap((stem) => {
    const { recipe, experiments } = readRecipe(stem);
    return experiments.filter((name) => isOffered(name, recipe, scale, scales));
  });

test("they are in the package, and each begins with the command that runs it", () => {
  expect(JSON.parse(readFileSync("package.json", "utf8")).files).toContain("recipes");
  for (const name of recipeNames()) {
    const [first = ""] = readFileSync(`recipes/${name}.yaml`, "utf8").split("\n");
    const [, experiment = ""] = /^# booster experiment --recipe (\S+) --scale world$/.exec(first) ?? [];
    expect(offered("world")).toContain(experiment);
    expect(experiment.split("/")[0]).toBe(name);
  }
});

test("what a scale does not offer is a task that it does not have", () => {
  expect(offered("paper")).toEqual(offered("smollm2"));
  const missing = offered("paper").filter((name) => !offered("world").includes(name));
  expect(missing.filter((name) => !/agnews|gsm8k|alpaca-eval/.test(name))).toEqual([]);
  expect(() => optionsOf("tasks/agnews", "world")).toThrow(/no task "agnews"/);
});

describe.each(SCALES)("at scale %s", (scale) => {
  test.each(offered(scale))("%s is planned", (name) => {
    const options = optionsOf(name, scale);
    checkExperiment(options);
    const { cells, pieces } = sizeOf(options);
    expect(cells).toBe(options.methods.length * options.strengths.length * options.seeds.length);
    expect(pieces).toBeGreaterThan(options.methods.length * options.seeds.length);
    expect(options.seeds).toHaveLength(3);
  });
});

test("what is varied is in the settings of the methods, and in their names", () => {
  const { methods } = optionsOf("alpha", "paper");
  expect(methods.map(({ id }) => id)).toEqual(["sft", ...[0.01, 0.03, 0.1, 0.3, 1].map((n) => `booster-alpha-${n}`)]);
  expect(methods[5]).toMatchObject({ label: "Booster, alpha 1", method: { name: "booster", lambda: 5, alpha: 1 } });
  const rows = optionsOf("harmful-data", "paper").methods[1];
  expect(rows?.align.harmful).toMatchObject({ task: "beavertails", rows: "5001..", limit: 50 });
  const both = optionsOf("united/both", "paper").methods[1]?.method;
  expect(both).toMatchObject([
    { name: "united-alignment", rho: 10 },
    { name: "united", lambda: 0.01 },
  ]);
});

test("the attacker's rows at paper scale are none of the defender's", () => {
  const { align, attack } = optionsOf("harmful-ratio", "paper");
  expect([align.harmful?.rows, align.alignment?.rows, attack.harmful?.rows]).toEqual(["5001..", "5001..", "..5000"]);
});

test("a name that does not exist is told with one that does", () => {
  expect(() => recipeFile("alfa", "world")).toThrow(/alpha/);
  expect(() => recipeFile("tasks/agnew", "paper")).toThrow(/agnews/);
  expect(() => recipeFile("tasks", "paper")).toThrow(/tasks\/sst2, tasks\/agnews/);
});

describe("one cell of", () => {
  const folder = mkdtempSync(join(tmpdir(), "recipes-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  writeWorldData(join(folder, WORLD_DATA), [3]);

  /** The last method under the last attack, for a step, on a few questions. */
  function oneCell(name: string): ExperimentOptions {
    const given = optionsOf(name, "world");
    const { methods, strengths, align, attack, evaluate, ...rest } = given;
    const few = <T extends object>(source: T) => ({ ...source, limit: 4 });
    const cell = {
      ...rest,
      out: join(folder, "runs"),
      methods: methods.slice(-1),
      strengths: strengths.slice(-1).map((strength) => ({ ...strength, steps: 1 })),
      seeds: [3],
      jobs: 1,
      align: { ...align, steps: 1 },
      attack: { ...attack, ...(attack.curve && { curve: { ...attack.curve, every: 1, rows: 2 } }) },
      evaluate: {
        ...evaluate,
        harmful: few(evaluate.harmful),
        harmless: few(evaluate.harmless ?? evaluate.harmful),
        task: few(evaluate.task ?? evaluate.harmful),
      },
    };
    return JSON.parse(JSON.stringify(cell).replaceAll(`"${WORLD_DATA}/`, `"${join(folder, WORLD_DATA)}/`));
  }

  test.each(offered("world"))("%s", async (name) => {
    const { runs } = await runExperiment(oneCell(name));
    expect(runs).toHaveLength(1);
    expect(runs[0]?.after.harmful?.total).toBe(4);
  });
});
