/** The search for settings in the bundled world gives every method the same number of trials, all with settings that exist. */
import { expect, test } from "vitest";
import { bestOf, worthOf } from "../../scripts/world-search/choice.ts";
import { around, type Settings } from "../../scripts/world-search/settings.ts";
import { pipelineOf } from "../../src/experiments/pipeline.ts";
import { DEFENCES } from "../../src/methods/registry.ts";
import { AlignOptions } from "../../src/stages/options.ts";
import { smallResult } from "../report/synthetic-result.ts";

test.each(DEFENCES.rows)("$name is tried as often as the others, with its own settings", ({ name, tried }) => {
  expect(tried).toHaveLength(4);
  for (const { align = {}, ...settings } of tried) {
    expect(() => pipelineOf({ name, ...settings })).not.toThrow();
    expect(Object.keys(align).filter((option) => !(option in AlignOptions.shape))).toEqual([]);
  }
});

test.each(DEFENCES.rows)("$name has as many settings around its best as the others, by factors of at most 3", (row) => {
  const tried = row.tried as readonly Settings[];
  for (const winner of tried) {
    const near = around(row.name, tried, winner, { count: 4, alignmentRate: 2e-3 });
    expect(near).toHaveLength(4);
    const all = [...tried, ...near].map((settings) => JSON.stringify(settings));
    expect(new Set(all).size).toBe(8);
    for (const { align = {}, ...settings } of near) {
      expect(() => pipelineOf({ name: row.name, ...settings })).not.toThrow();
      const numbers = (of: Settings) =>
        [...Object.entries(of), ["align.learningRate", of.align?.learningRate ?? 2e-3]] as [string, unknown][];
      const before = new Map(numbers(winner));
      const changed = numbers({ ...settings, align }).filter(
        ([name, value]) => name !== "align" && JSON.stringify(value) !== JSON.stringify(before.get(name)),
      );
      expect(changed).toHaveLength(1);
      for (const [name, value] of changed) {
        const factor = Number(value) / Number(before.get(name));
        expect(Math.max(factor, 1 / factor)).toBeLessThanOrEqual(3.2);
      }
    }
  }
});

test("what is taken: the least harm by the report's bounds, seed by seed, the score before the attack included", () => {
  const strengths = [7e-5, 1e-4].map((learningRate) => ({
    id: `${learningRate}`,
    label: `${learningRate}`,
    learningRate,
  }));
  const hs = {
    useless: [
      [0, 0],
      [0, 0],
    ],
    held: [
      [0, 20],
      [40, 60],
    ],
    unaligned: [
      [0, 0],
      [10, 10],
    ],
  };
  const accuracy = (method: string) => (method === "useless" ? 50 : 95);
  const told = smallResult(
    {
      sft: [
        [100, 100],
        [100, 100],
      ],
      ...hs,
    },
    { strengths, accuracy },
    { utilityBound: 90 },
  );
  const result = {
    ...told,
    runs: told.runs.map((run) =>
      run.method === "unaligned" ? { ...run, before: { harmful: { count: 100, total: 100 } } } : run,
    ),
  };
  const candidates = ["sft", "useless", "held", "unaligned"].map((method) => ({
    method,
    worth: worthOf(
      result,
      result.runs.filter((run) => run.method === method),
    ),
  }));
  expect(candidates.map(({ worth }) => Math.round(worth.harm))).toEqual([67, 67, 20, 37]);
  expect(bestOf(candidates)?.method).toBe("held");
  expect(candidates[1]?.worth).toMatchObject({ counting: 0, models: 4 });
});
