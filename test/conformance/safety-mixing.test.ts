/** Safety rows beside the user's: weighed by lambda (`vlguard`), or mixed into one data set (`safeinstr`). */

import { describe, expect, test } from "vitest";
import { type TensorType, valueAndGrad } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, weightsOf } from "../../src/models/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { device, gradients, model, names, problem, rows, run, SCALE } from "./finetuning.ts";
import { asTensors, evaluate, numbers, pick, relativeError } from "./tiny-model.ts";

/** Facts of a run on n user rows and m safety rows. */
function runOf(
  method: string,
  options: object,
  counts: Record<string, number>,
  length: { steps?: number; epochs?: number },
) {
  const configured = choose(METHODS, { name: method, ...options });
  const planned = planRun({ model, method: configured, rows: counts, batchSize: 5, seed: 3, epochs: 1, ...length });
  return { ...planned, plan: (step: number) => configured.schedule.calls(step, planned.facts) };
}

describe("vlguard", () => {
  test("the gradient is that of the user's batch plus lambda times that of the safety batch", async () => {
    const of = async (lambda: number) => numbers(await run(problem("vlguard", { lambda })), gradients);
    const [none, one, some] = [await of(0), await of(1), await of(0.3)];
    const expected = none.map((g, i) => g + 0.3 * ((one[i] as number) - g));
    expect(relativeError(some, expected)).toBeLessThan(1e-12);
  });

  test("four safety rows a step; each once, then all again in another order", () => {
    const { facts } = runOf("vlguard", {}, { user: 20, alignment: 10 }, { steps: 6 });
    const drawn = (from: number) => [0, 1, 2].flatMap((n) => [...facts.batch("alignment", from + n)]);
    expect(facts.batch("alignment", 0).length).toBe(4);
    const inOrder = (list: number[]) => [...list].sort((a, b) => a - b);
    expect(inOrder(drawn(0))).toEqual(Array.from({ length: 10 }, (_, i) => i));
    expect(inOrder(drawn(3))).toEqual(inOrder(drawn(0)));
    expect(drawn(3)).not.toEqual(drawn(0));
  });
});

describe("safeinstr", () => {
  /** Rows that the steps of an epoch read, safety rows as negative numbers below 0. */
  const readBy = (plan: ReturnType<typeof runOf>["plan"], from: number, to: number): number[] =>
    Array.from({ length: to - from }, (_, i) => plan(from + i)[0]?.rows ?? {}).flatMap(
      ({ user = [], alignment = [] }) => [...user, ...Array.from(alignment, (row) => -1 - row)],
    );
  const sorted = (list: number[]) => [...list].sort((a, b) => a - b);

  test("an epoch has every row of both once, in another order each time", () => {
    const { plan, steps } = runOf("safeinstr", { safetyRatio: 0.25 }, { user: 24, alignment: 9 }, { epochs: 2 });
    expect(steps).toBe(12);
    const epochs = [readBy(plan, 0, 6), readBy(plan, 6, 12)];
    const all = Array.from({ length: 30 }, (_, i) => i - 6);
    expect(epochs.map(sorted)).toEqual([all, all]);
    expect(epochs[0]).not.toEqual(epochs[1]);
    expect(readBy(plan, 0, 1).length).toBe(5);
  });

  test("replace: as many of the user's last rows are left out", () => {
    const { plan, steps } = runOf("safeinstr", { safetyRatio: 0.25, replace: true }, { user: 24, alignment: 9 }, {});
    expect(steps).toBe(5);
    expect(sorted(readBy(plan, 0, 5))).toEqual(Array.from({ length: 24 }, (_, i) => i - 6));
  });

  test("too few safety rows are refused", () => {
    expect(() => runOf("safeinstr", { safetyRatio: 0.5 }, { user: 24, alignment: 9 }, {})).toThrow(
      expect.objectContaining({ code: "DATA_TOO_FEW_ROWS" }),
    );
  });

  test("a batch of both is one batch: the gradient of the mean token loss of all its rows", async () => {
    const method = choose(METHODS, { name: "safeinstr", safetyRatio: 1 });
    const { facts } = runOf("safeinstr", { safetyRatio: 1 }, { user: 8, alignment: 8 }, {});
    const mixed = [0, 1, 2]
      .flatMap((step) => method.schedule.calls(step, facts))
      .find((call) => call.inputs !== undefined);
    const inputs = mixed?.inputs?.(rows) ?? {};
    const p = problem("safeinstr", {}, { dtype: "float32", inputs });
    const found = await run(p);
    const whole = await evaluate(
      device,
      {
        ...p.feeds,
        ...asTensors<HostTensor>({ batch: packBatch([...rows.user, ...rows.alignment], { chunks: 1 }) }),
      },
      (all) => {
        const loss = valueAndGrad((w) =>
          tokenLoss(model, weightsOf(model, all, { scale: SCALE, tensors: w }), batchOf(all.batch as never), {
            chunks: 1,
          }),
        )(pick(all, names));
        const slopes = Object.entries(loss.grad).map(([name, g]) => [`d ${name}`, g] as const);
        return { value: loss.value, ...Object.fromEntries(slopes) };
      },
      asTensors<TensorType>({ batch: batchTypes("b", 1) }),
    );
    expect(relativeError(numbers(found, ["loss"]), numbers(whole, ["value"]))).toBeLessThan(1e-6);
    expect(relativeError(numbers(found, gradients), numbers(whole, gradients))).toBeLessThan(1e-5);
  });

  test("batches of one kind read that kind alone", () => {
    const programs = (safetyRatio: number, counts: Record<string, number>) => {
      const { plan, steps } = runOf("safeinstr", { safetyRatio }, counts, { epochs: 1 });
      return new Set(Array.from({ length: steps }, (_, step) => plan(step)[0]?.program));
    };
    expect(programs(0, { user: 20, alignment: 1 })).toEqual(new Set(["user"]));
    expect(programs(0.05, { user: 20, alignment: 1 })).toEqual(new Set(["user", undefined]));
  });
});
