/** The search for settings in the bundled world gives every method the same number of trials, all with settings that exist. */
import { expect, test } from "vitest";
import { pipelineOf } from "../../src/experiments/pipeline.ts";
import { DEFENCES } from "../../src/methods/registry.ts";
import { AlignOptions } from "../../src/stages/options.ts";

test.each(DEFENCES.rows)("$name is tried as often as the others, with its own settings", ({ name, tried }) => {
  expect(tried).toHaveLength(4);
  for (const { align = {}, ...settings } of tried) {
    expect(() => pipelineOf({ name, ...settings })).not.toThrow();
    expect(Object.keys(align).filter((option) => !(option in AlignOptions.shape))).toEqual([]);
  }
});
