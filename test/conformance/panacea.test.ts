/** Panacea: the perturbation, the direction on a quadratic, what is published. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { device, model, names, onToy, problem, rows, run } from "./finetuning.ts";
import { numbers, relativeError } from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));

describe("on the tiny model", () => {
  const settings = { lambda: 2, rho: 0.05, cap: 100 };
  const perturbation = names.map((name) => `next perturbation ${name}`);

  test("the perturbation has length rho over all weights together, and raises the harmful loss", async () => {
    const found = await run(problem("panacea", settings));
    expect(norm(numbers(found, perturbation))).toBeCloseTo(0.05, 7);
    const [before = 0, after = 0] = numbers(found, ["harmfulLoss", "perturbedHarmfulLoss"]);
    expect(after).toBeGreaterThan(before);
  });

  test("its length is told for each layer", async () => {
    const found = await run(problem("panacea", settings));
    const layers = numbers(found, ["perturbationNorm.0", "perturbationNorm.1"]);
    for (const [layer, length] of layers.entries()) {
      const own = perturbation.filter((name) => name.includes(`layers.${layer}.`));
      expect(length).toBeCloseTo(norm(numbers(found, own)), 10);
    }
  });

  test("beyond the cap the perturbed model has no slope", async () => {
    const capped = await run(problem("panacea", { ...settings, cap: 0.01 }));
    expect(numbers(capped, ["perturbedHarmfulLoss"])[0]).toBeCloseTo(0.01, 7);
  });

  test("weights are left alone by the perturbation, and published with it", async () => {
    const training = async (addPerturbation: boolean) => {
      const options = { ...settings, addPerturbation };
      const { program } = await compileTraining(device, model, { method: "panacea", options });
      const before = hash(await program.trained());
      await program.step({ user: [rows.user], harmful: [rows.harmful] }, 0);
      return { before, program };
    };
    const bare = await training(false);
    expect(hash(await bare.program.trained())).toBe(bare.before);
    const { program } = await training(true);
    const added = await program.trained();
    const plain = await bare.program.trained();
    const difference = [...added].flatMap(([name, { data }]) =>
      Array.from(data, (x, i) => x - (plain.get(name)?.data[i] as number)),
    );
    expect(norm(difference)).toBeCloseTo(0.05, 5);
  });
});

test("on a quadratic h(w) = w'Hw / 2 and linear g: G = a - lambda H eps, eps = rho Hw / |Hw|", async () => {
  const H = [
    [3, 1],
    [1, 2],
  ];
  const [w, a, lambda, rho] = [[0.5, -2], [0.3, 0.7], 4, 0.2];
  const times = (x: readonly number[]) => H.map((row) => row.reduce((sum, h, i) => sum + h * (x[i] as number), 0));
  const fixed = (values: readonly number[], shape: readonly number[]) =>
    ops.constantTensor(tensor("float64", shape, values));
  const loss = (x: Tensor, stream: string) => {
    if (stream === "user") return ops.sum(ops.mul(x, fixed(a, [2])));
    const row = ops.reshape(x, [1, 2]);
    return ops.mul(ops.sum(ops.mul(ops.matmul(row, fixed(H.flat(), [2, 2])), row)), 0.5);
  };
  const found = await onToy(choose(METHODS, { name: "panacea", lambda, rho, cap: 1e6 }), w, loss);
  const epsilon = times(w).map((x) => (rho * x) / norm(times(w)));
  expect(relativeError(found.copies.perturbation ?? [], epsilon)).toBeLessThan(1e-7);
  const expected = times(epsilon).map((x, i) => (a[i] as number) - lambda * x);
  expect(relativeError(found.gradient, expected)).toBeLessThan(1e-7);
});
