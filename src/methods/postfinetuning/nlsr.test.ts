import { expect, test } from "vitest";
import { contextOf, expectClose, normal, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { multiply, transposed } from "../../tensor/matrix.ts";
import { TRANSFORMS } from "../registry.ts";
import type { TransformContext } from "../transform.ts";
import { lowRank, realignmentProbabilities, safetyMask } from "./nlsr.ts";

const modules = { m: [6, 8], n: [6, 8], o: [6, 8] } as const;
const user = randomAdapter(modules);
const safe = randomAdapter(modules, 2);

test("the leading outputs of a factor are kept, and nothing of the others", () => {
  // One token: the outputs have one direction, which 4 of 5 kept directions contain.
  const [w, x] = [normal([5, 7], "w"), normal([1, 7], "x")];
  const low = lowRank(w, multiply(transposed(x), x));
  expectClose(multiply(low, transposed(x)).data, multiply(w, transposed(x)).data, 8);
  const inputs = normal([30, 7], "inputs");
  const kept = lowRank(w, multiply(transposed(inputs), inputs));
  const again = lowRank(kept, multiply(transposed(inputs), inputs));
  expectClose(again.data, kept.data, 8);
});

test("the mask holds the entries above the one at the share's place, whatever their sign", () => {
  const w = { shape: [1, 5], data: Float64Array.from([1, -5, 2, -3, 4]) };
  expect([...safetyMask(w, 0.6)]).toEqual([0, 1, 0, 0, 0]);
  expect([...safetyMask(w, 0)]).toEqual([0, 1, 1, 1, 1]);
  expect([...safetyMask(w, 1)]).toEqual([0, 0, 0, 0, 0]);
});

test("probabilities go up with the difference, and the other way round on request", () => {
  const given = { pruneRate: 0.5, epsilon: 0.2 };
  expectClose(realignmentProbabilities([0.9, 0.1, 0.5], { ...given, first: "least-similar" }), [0.3, 0.7, 0.5], 12);
  expectClose(realignmentProbabilities([0.9, 0.1, 0.5], { ...given, first: "most-similar" }), [0.7, 0.3, 0.5], 12);
});

test("realigned entries are the extrapolated safety adapter's, all others the user's", async () => {
  const observe: TransformContext["observe"] = async (_, adapter) => ({
    rows: 1,
    sums: new Map(
      [...(adapter?.tensors ?? [])].map(
        ([
          name,
          {
            shape: [, width = 0],
          },
        ]) => {
          const x = normal([20, width], `inputs ${name}`);
          return [name, multiply(transposed(x), x)];
        },
      ),
    ),
  });
  const context = contextOf(user, { safety: () => safe, observe });
  const all = { pruneRate: 1, epsilon: 0 };
  for (const [extrapolation, factors] of [
    ["reference", { lora_A: 1.8, lora_B: 1.8 }],
    ["weak-to-strong", { lora_A: 1, lora_B: 1.9 }],
  ] as const) {
    const { adapter, report } = await choose(TRANSFORMS, { name: "nlsr", ...all, extrapolation }).apply(context);
    expect(report).toEqual({ realigned: 3, matrices: 3 });
    for (const [name, { data }] of adapter.tensors) {
      const [own, other] = [user.tensors.get(name)?.data, safe.tensors.get(name)?.data];
      const factor = factors[name.includes("lora_A") ? "lora_A" : "lora_B"];
      const changed = [...data.keys()].filter((i) => data[i] !== own?.[i]);
      expect(changed.length).toBeGreaterThan(0);
      expect(changed.length).toBeLessThan(0.25 * data.length);
      for (const i of changed) expect(data[i]).toBeCloseTo(factor * (other?.[i] ?? 0), 5);
    }
  }
  const none = await choose(TRANSFORMS, { name: "nlsr", pruneRate: 0, epsilon: 0 }).apply(context);
  expect(none.adapter.tensors).toEqual(user.tensors);
  const unlike = { ...context, safety: () => ({ ...safe, config: { ...safe.config, alpha: 2 } }) };
  await expect(choose(TRANSFORMS, { name: "nlsr" }).apply(unlike)).rejects.toMatchObject({
    code: "TRANSFORM_UNFIT",
  });
});
