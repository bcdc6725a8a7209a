import { describe, expect, test } from "vitest";
import { smallResult } from "../../test/report/synthetic-result.ts";
import { aggregate } from "./aggregate.ts";
import { compared } from "./compare.ts";
import { durability } from "./durability.ts";
import { comparisonHtml, renderHtml } from "./html.ts";
import { comparisonMarkdown } from "./markdown.ts";
import { merged } from "./merge.ts";
import { type ExperimentResult, type ExperimentResultInput, parseResult } from "./result.ts";
import { comparisonText } from "./terminal.ts";

/** hs[method][attack][seed] of 100; which ones count is known, the first. */
function told(
  hs: Record<string, readonly (readonly number[])[]>,
  {
    seeds = 0,
    rates = [1e-5, 1e-4],
    ...more
  }: Partial<ExperimentResultInput> & { seeds?: number; rates?: number[] } = {},
): ExperimentResult {
  const strengths = rates.map((learningRate) => ({
    id: `lr ${learningRate}`,
    label: `lr ${learningRate}`,
    learningRate,
  }));
  const result = smallResult(hs, { strengths, accuracy: () => 90 });
  const runs = result.runs.map((run) => {
    const { count } = run.after.harmful;
    const seed = run.seed + seeds;
    return {
      ...run,
      seed,
      folders: {
        align: `align/${seed}`,
        attack: "attack/x",
        before: "evaluate/b",
        after: `evaluate/${run.method}-${seed}`,
      },
      after: { ...run.after, harmful: { count, total: 100, outcomes: "1".repeat(count) + "0".repeat(100 - count) } },
    };
  });
  const questions = { harmful: { sha256: "q", clusters: Array.from({ length: 100 }, (_, i) => i) } };
  return parseResult({ ...result, runs, questions, ...more });
}

const at = (...results: ExperimentResult[]) => results.map((result, i) => ({ result, folder: `../${i}` }));

describe("several experiments as one", () => {
  test("more seeds, and their runs are found from the report", () => {
    const all = merged(at(told({ sft: [[90], [90]] }), told({ sft: [[80], [100]] }, { seeds: 1 })));
    const { cells } = aggregate(all);
    expect(cells.map(({ after }) => after.harmful?.values)).toEqual([
      [90, 80],
      [90, 100],
    ]);
    const page = renderHtml(all);
    expect(page).toContain('<a href="./../0/evaluate/sft-0/evaluation.json">90.0</a>');
    expect(page).toContain('<a href="./../1/evaluate/sft-1/evaluation.json">80.0</a>');
  });

  test("more attacks stand in the order of their strength, more methods behind the others", () => {
    const all = merged(
      at(told({ sft: [[90]] }, { rates: [1e-4] }), told({ sft: [[10]], booster: [[0]] }, { rates: [1e-5] })),
    );
    expect(all.strengths.map(({ label }) => label)).toEqual(["lr 0.00001", "lr 0.0001"]);
    expect(all.methods.map(({ id }) => id)).toEqual(["sft", "booster"]);
    expect(durability(aggregate(all)).map(({ runs }) => runs)).toEqual([2, 1]);
  });

  test("base models are what intervals are over", () => {
    const bases = ["b0", "b1", "b2"].map((base) =>
      told(
        {
          sft: [
            [0, 0],
            [0, 0],
          ],
        },
        { base },
      ),
    );
    const { cells } = aggregate(merged(at(...bases)));
    expect(cells[0]?.after.harmful).toMatchObject({ source: "bases", values: [0, 0, 0, 0, 0, 0] });
    expect(cells[0]?.after.harmful?.high).toBeCloseTo(100 * (1 - 0.025 ** (1 / 3)), -0.5);
  });

  test("other tasks are other attacks, and questions that differ are not taken for the same", () => {
    const other = told({ sft: [[50], [60]] }, { task: "other", questions: {} });
    const all = merged(at(told({ sft: [[90], [90]] }), other));
    expect(all.strengths.map(({ id }) => id)).toEqual([
      ...["k, lr 0.00001", "k, lr 0.0001"],
      ...["other, lr 0.00001", "other, lr 0.0001"],
    ]);
    expect(all.questions).toEqual({});
    expect(all.runs.every(({ after }) => after.harmful.outcomes === undefined)).toBe(true);
  });

  test.each<[string, Partial<ExperimentResultInput>, string]>([
    ["bounds", { utilityBound: 50 }, "utilityBound null"],
    ["judges", { moderator: { name: "x", method: "y" } }, "moderator"],
    ["the same runs", {}, "is there already"],
  ])("with other %s they are refused", (_, more, message) => {
    const hs = { sft: [[90], [90]] };
    expect(() => merged(at(told(hs), told(hs, more)))).toThrow(message);
  });

  test("a method of other settings is refused by its name", () => {
    const other = told({ sft: [[1], [1]] }, { seeds: 1 });
    const methods = other.methods.map((method) => ({ ...method, hyperparameters: { lambda: 2 } }));
    expect(() => merged(at(told({ sft: [[1], [1]] }), { ...other, methods }))).toThrow("settings of sft {}");
  });
});

describe("two experiments beside each other", () => {
  const eight = (value: number) => Array<number>(8).fill(value);

  test("cells that both have, seed by seed; what is certain is said", () => {
    const [a, b] = [told({ sft: [eight(100), eight(100)] }), told({ sft: [eight(100), eight(0)], x: [[1], [1]] })];
    const { headline, tables } = compared(a, b);
    expect(headline).toBe("HS is certain to differ in 1 of 2 cells that both have: SFT at lr 0.0001 (lower)");
    const [harm] = tables;
    expect(harm?.rows.map((row) => row.at(-1))).toEqual(["no", "yes"]);
    expect(harm?.rows[1]?.[4]).toMatchObject({ text: "\u2212100.0" });
    for (const render of [comparisonHtml, comparisonMarkdown, comparisonText]) {
      expect(render({ headline, tables })).toContain("SFT at lr 0.0001");
      expect(render({ headline, tables })).not.toMatch(/undefined|NaN/);
    }
  });

  test("nothing in common, and settings that differ", () => {
    const a = told({ sft: [[1], [1]] });
    expect(compared(a, told({ sft: [[1], [1]] }, { seeds: 5 })).headline).toMatch(/no cell in common/);
    const { tables } = compared(a, { ...a, breakAt: 30 });
    expect(tables.at(-1)?.rows).toEqual([["breakAt", "50", "30"]]);
  });
});
