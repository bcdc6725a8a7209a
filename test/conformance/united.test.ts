/** United alignment, United fine-tuning, and Vaccine with Booster, against their definitions. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import type { StepContext } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { Device } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import { centralDifferences, evaluate, numbers, pick, randomRows, relativeError, tinyModel } from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const refusals = randomRows(model, [5, 9, 3, 7], 1);
const rows = { alignment: refusals, user: refusals, harmful: randomRows(model, [6, 2, 8], 2) };

const gradient = async (method: string, options: object) => {
  const { run, names } = await methodProgram(device, model, method, options, { rows });
  return gradientOf(await run(), names);
};

describe("in their limits, bit for bit", () => {
  test.each([
    ["booster-vaccine", { lambda: 0, rho: 2 }, "vaccine", { rho: 2 }],
    ["booster-vaccine", { lambda: 3, rho: 0 }, "booster", { lambda: 3 }],
    ["united-alignment", { rho: 0 }, "sft", {}],
    ["united", { lambda: 0 }, "sft", {}],
  ])("%s with %o is %s", async (method, options, other, otherOptions) => {
    expect(await gradient(method, options)).toEqual(await gradient(other, otherOptions));
  });
});

test("Vaccine and Booster together is the sum of what each adds", async () => {
  const [both, vaccine, booster, sft] = await Promise.all([
    gradient("booster-vaccine", { lambda: 3, rho: 2 }),
    gradient("vaccine", { rho: 2 }),
    gradient("booster", { lambda: 3 }),
    gradient("sft", {}),
  ]);
  const sum = (vaccine as number[]).map((x, i) => x + (booster?.[i] as number) - (sft?.[i] as number));
  expect(relativeError(both as number[], sum)).toBeLessThan(1e-5);
});

describe("United", () => {
  test("has the gradient of its loss, in float64 against central differences", async () => {
    const { run, feeds, names } = await methodProgram(
      device,
      model,
      "united",
      { lambda: 0.7 },
      { rows, dtype: "float64" },
    );
    const value = async (moved: typeof feeds) => outputOf(await run(moved), "loss")[0] as number;
    const found = gradientOf(await run(), names);
    expect(relativeError(found, await centralDifferences(value, feeds, names))).toBeLessThan(1e-7);
  });

  test("takes the mean over the batch before the logarithm", async () => {
    const { run } = await methodProgram(device, model, "united", { lambda: 0.7 }, { rows, dtype: "float64" });
    const outputs = await run();
    const at = (name: string) => outputOf(outputs, name)[0] as number;
    expect(at("loss")).toBeCloseTo(at("userLoss") - 0.7 * Math.log(at("harmfulLoss")), 12);
  });
});

describe("United alignment on quadratics, f(w) = w'Fw / 2 and h(w) = w'Hw / 2", () => {
  const H = [
    [3, 1, 0],
    [1, 2, -1],
    [0, -1, 1],
  ];
  const F = [
    [2, 0, 1],
    [0, 1, 0],
    [1, 0, 4],
  ];
  const w = [0.5, -1, 2];
  const rho = 0.6;
  const times = (M: readonly (readonly number[])[], x: readonly number[]) =>
    M.map((row) => row.reduce((sum, m, i) => sum + m * (x[i] as number), 0));
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, v, i) => sum + v * (y[i] as number), 0);

  test("grad f + 2 rho (second derivative of u) (gu - ga), u = -log h: f's own second derivative plays no part", async () => {
    const feeds = {
      a: tensor("float64", [1, 2], w.slice(0, 2)),
      b: tensor("float64", [1, 1], w.slice(2)),
      H: tensor("float64", [3, 3], H.flat()),
      F: tensor("float64", [3, 3], F.flat()),
    };
    const result = await evaluate(device, feeds, (inputs) => {
      const loss = (weights: Tree, stream: string) => {
        const x = ops.concat([weights.a as Tensor, weights.b as Tensor], 1);
        const M = inputs[stream === "harmful" ? "H" : "F"] as Tensor;
        return ops.mul(ops.sum(ops.mul(ops.matmul(x, M), x)), 0.5);
      };
      const context = { weights: pick(inputs, ["a", "b"]), loss } as StepContext;
      const { gradient, metrics } = choose(METHODS, { name: "united-alignment", rho }).step(context);
      return { da: gradient.a as Tensor, db: gradient.b as Tensor, loss: metrics.loss };
    });
    const h = dot(w, times(H, w)) / 2;
    const [Hw, ga] = [times(H, w), times(F, w)];
    const difference = Hw.map((x, i) => -x / h - (ga[i] as number));
    const along = dot(Hw, difference) / (h * h);
    const curved = times(H, difference).map((x, i) => -x / h + (Hw[i] as number) * along);
    const expected = ga.map((x, i) => x + 2 * rho * (curved[i] as number));
    expect(relativeError(numbers(result, ["da", "db"]), expected)).toBeLessThan(1e-12);
    expect(numbers(result, ["loss"])[0]).toBeCloseTo(dot(w, ga) / 2 + rho * dot(difference, difference), 10);
  });
});
