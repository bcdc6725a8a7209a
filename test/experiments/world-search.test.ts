/** The search for settings in the bundled world gives every method the same number of trials, all with settings that exist. */
import { describe, expect, test } from "vitest";
import { CANDIDATES } from "../../scripts/world-search/candidates.ts";
import { pipelineOf, STAGES } from "../../src/experiments/pipeline.ts";
import { AlignOptions } from "../../src/stages/options.ts";
import { WORLD_RECIPE } from "../../src/stages/world-recipe.ts";

test("no method is forgotten, and none gets more trials", () => {
  expect(Object.keys(CANDIDATES).sort()).toEqual(STAGES.map(({ name }) => name).sort());
  expect(new Set(Object.values(CANDIDATES).map(({ length }) => length)).size).toBe(1);
});

describe.each(Object.entries(CANDIDATES))("%s", (name, candidates) => {
  test("its settings are the method's", () => {
    for (const { settings, align = {} } of candidates) {
      expect(() => pipelineOf({ name, ...settings })).not.toThrow();
      expect(Object.keys(align).filter((option) => !(option in AlignOptions.shape))).toEqual([]);
    }
  });
});

test("what the demo uses was tried", () => {
  for (const [name, { settings = {}, align = {} }] of Object.entries(WORLD_RECIPE.methods)) {
    const tried = (CANDIDATES[name] ?? []).map((candidate) => ({ ...candidate.settings, ...candidate.align }));
    // SFT's alignment is that of the recipe itself.
    const { learningRate } = WORLD_RECIPE.alignment;
    expect(tried, name).toContainEqual(name === "sft" ? { learningRate } : { ...settings, ...align });
  }
  expect(Object.keys(WORLD_RECIPE.methods).sort()).toEqual(STAGES.map(({ name }) => name).sort());
});
