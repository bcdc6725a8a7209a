/** ML-LR: the proxy, the search for robust modules, and what their rates do. */

import { describe, expect, test } from "vitest";
import { trainer } from "../../../../test/conformance/trainer.ts";
import { moduleOf } from "../../../models/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { type Labelled, scoreOf, trainProxy } from "./proxy.ts";
import { robustModules } from "./search.ts";

/** Two clouds, apart along one direction, with wide noise along another. */
const clouds = (seed: number, count = 60): Labelled[] => {
  const random = new RandomStream(seed, "clouds");
  return Array.from({ length: 2 * count }, (_, i) => {
    const positive = i < count;
    const at = (k: number) => random.normal(3 * i + k);
    return { point: [100 * at(0), (positive ? 1 : -1) + 0.3 * at(1), 7], positive };
  });
};

describe("the proxy", () => {
  test("tells unseen points, whatever their scale, and is at a flat place of its loss", () => {
    const proxy = trainProxy(clouds(1));
    expect(scoreOf(proxy, clouds(2)).accuracy).toBeGreaterThan(0.98);
    const swapped = clouds(2).map(({ point, positive }) => ({ point, positive: !positive }));
    expect(scoreOf(proxy, swapped).accuracy).toBeLessThan(0.02);
  });

  test("of two points it is the root of a closed form", () => {
    // One standardised dimension at +-1: the loss is log(1 + exp(-u)) + L2 / 2 u^2, least where 1 / (1 + e^u) = L2 u.
    const { logit } = trainProxy([
      { point: [3], positive: true },
      { point: [1], positive: false },
    ]);
    const u = logit([3]);
    expect(logit([1])).toBeCloseTo(-u, 5);
    expect(1 / (1 + Math.exp(u))).toBeCloseTo(0.01 * u, 6);
  });

  test("points that are no numbers count as wrong", () => {
    const proxy = trainProxy(clouds(1));
    const broken = clouds(2).map((each) => ({ ...each, point: [Number.NaN, 0, 0] }));
    expect(scoreOf(proxy, broken).accuracy).toBe(0);
  });
});

describe("the search", () => {
  const modules = ["a", "b", "safety", "c"];
  /** Perturbing "safety" breaks the proxy, each other module costs a little. */
  const score = async (perturbed: readonly string[]) => ({
    accuracy: perturbed.includes("safety") ? 0.5 : 1 - 0.02 * perturbed.length,
    margin: perturbed.includes("b") ? 3 : 2,
  });

  test("leaves the module out that carries safety", async () => {
    expect(await robustModules({ modules, threshold: 0.9, skip: false, score })).toEqual(["b", "a", "c"]);
  });

  test("a larger threshold gives a part of it; skipping goes on behind a module that costs too much", async () => {
    expect(await robustModules({ modules, threshold: 0.97, skip: false, score })).toEqual(["b"]);
    const uneven = async (perturbed: readonly string[]) => ({
      accuracy: 1 - (perturbed.length > 1 && perturbed.includes("a") ? 0.2 : 0.01),
      margin: 0,
    });
    const given = { modules, threshold: 0.9, score: uneven };
    expect(await robustModules({ ...given, skip: false })).toEqual(["a"]);
    expect(await robustModules({ ...given, modules: ["b", "a", "c"], skip: true })).toEqual(["b", "c"]);
  });
});

test.each([0, 0.1])(
  "ratio %d: fragile modules move by that part of SFT's first step, robust ones by all of it",
  async (ratio) => {
    const settings = { ratio, leastAccuracy: 0, trainPrompts: 4, testPrompts: 3 };
    const step = async (name: string, options: object) => {
      const { stepper, run } = await trainer(name, options);
      await stepper.prepare();
      const state = await stepper.save();
      for (const name of state.keys()) {
        const fragile = name.includes("layers.1") || name.includes("k_proj");
        if (name.startsWith("memory rate")) state.set(name, tensor("float32", [], [fragile ? ratio : 1]));
      }
      await stepper.load(state);
      const before = await stepper.adapter();
      await run(0, 1);
      const after = await stepper.adapter();
      const moved = new Map(
        [...after].map(([weight, { data }]) => [
          weight,
          Array.from(data, (x, i) => x - (before.get(weight)?.data[i] as number)),
        ]),
      );
      return { moved, state };
    };
    const [own, sft] = [await step("ml-lr", settings), await step("sft", {})];
    const seen = new Set<number>();
    for (const [weight, moved] of own.moved) {
      const rate = own.state.get(`memory rate ${moduleOf(weight)}`)?.data[0] as number;
      seen.add(rate);
      moved.forEach((x, i) => {
        expect(x).toBeCloseTo(rate * (sft.moved.get(weight)?.[i] as number), 6);
        if (rate === 0) expect(x).toBe(0);
      });
    }
    expect(seen.size).toBe(2);
  },
);
