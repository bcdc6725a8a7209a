/** Variants of methods that their papers tell of: noise and acceleration of Vaccine, rows that TAR keeps, advice on settings. */

import { expect, test } from "vitest";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { tinyModel } from "./tiny-model.ts";
import { trainer } from "./trainer.ts";
import { hash } from "./training.ts";

const after = async (settings: object, steps: number, name = "vaccine") => {
  const { stepper, run } = await trainer(name, settings);
  const results = await run(0, steps);
  return { adapter: hash(await stepper.adapter()), results };
};

test("accelerated: perturbed at steps 0, every, 2 every ... alone", async () => {
  const { results } = await after({ every: 3 }, 6);
  const perturbed = results.map(({ metrics }) => "hiddenGradientNorm" in metrics);
  expect(perturbed).toEqual([true, false, false, true, false, false]);
  expect(choose(METHODS, { name: "vaccine", every: 4 }).passes).toEqual({ forward: 1.25, backward: 1.25 });
});

test("noise: of variance rho, another one in every step and the same in every run; without any it is SFT", async () => {
  const model = tinyModel();
  const { schedule } = choose(METHODS, { name: "vaccine", perturbation: "random", rho: 4 });
  const noise = (step: number) => {
    const [call] = schedule.calls(step, { model, seed: 3 } as never);
    const rows = [{ inputIds: Array(500).fill(1), labels: Array(500).fill(1) }];
    const given = call?.inputs?.({ alignment: rows }) ?? {};
    return Array.from((given.noise as HostTensor).data, Number);
  };
  const values = noise(0);
  expect(values).toHaveLength(500 * model.layers * model.hiddenSize);
  const mean = values.reduce((a, b) => a + b) / values.length;
  expect(Math.abs(mean)).toBeLessThan(0.1);
  expect(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length).toBeCloseTo(4, 0);
  expect(noise(1)).not.toEqual(values);
  expect(noise(0)).toEqual(values);
  const random = await after({ perturbation: "random", rho: 4 }, 3);
  expect(await after({ perturbation: "random", rho: 4 }, 3)).toEqual(random);
  const none = await after({ perturbation: "random", rho: 0 }, 3);
  expect(none.adapter).not.toBe(random.adapter);
  const [sft, zero] = [(await after({}, 1, "sft")).results, none.results];
  expect(zero[0]?.metrics.loss).toBeCloseTo(sft[0]?.metrics.loss as number, 6);
});

test("tar keeps harmless rows where it is told to", async () => {
  const { method } = await trainer("tar", { retain: "general", innerSteps: 2, subsample: 1, adversaryRates: [1e-2] });
  expect(method.streams).toEqual(["alignment", "harmful", "general"]);
  const { results } = await after({ retain: "general", innerSteps: 2, subsample: 1, mappingSteps: 1 }, 3, "tar");
  expect(results.every(({ applied }) => applied)).toBe(true);
});

test("what contradicts a paper is told", () => {
  const training = { warmup: 0, loraRank: 16, loraAlpha: 4, optimizer: { name: "adamw" } };
  const advice = (name: string, changed = {}) => choose(METHODS, { name }).advice?.({ ...training, ...changed });
  expect(advice("salora")).toEqual([expect.stringContaining("0.25")]);
  expect(advice("salora", { loraAlpha: 16 })).toEqual([]);
  expect(advice("constrained-sft")).toHaveLength(2);
  expect(advice("constrained-sft", { warmup: 0.02, optimizer: { name: "adamw", beta1: 0.5 } })).toEqual([]);
});
