/** T-Vaccine against its definition: the draw, who is perturbed and trained, its limit. */
import { describe, expect, test } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import type { RunFacts, StepContext } from "../../src/methods/method.ts";
import { configureMethod } from "../../src/methods/registry.ts";
import { Device } from "../../src/runtime/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import { loraShapes, randomRows, tinyModel } from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel({ num_hidden_layers: 4 });
const rows = { alignment: randomRows(model, [5, 9, 3, 7], 1), harmful: randomRows(model, [6], 2) };
const batches = { alignment: [rows.alignment], harmful: [rows.harmful] };

const vector = (values: readonly number[]): HostTensor<"float32"> => tensor("float32", [values.length], values);
const flags = (active: readonly number[], layers = model.layers) =>
  vector(Array.from({ length: layers }, (_, l) => Number(active.includes(l))));

/** LoRA factors on every linear layer. */
const allShapes = (of = model) =>
  new Map(
    [...of.linears].flatMap(([module, [out, width]]): [string, readonly number[]][] => [
      [`${module}.lora_A.weight`, [2, width]],
      [`${module}.lora_B.weight`, [out, 2]],
    ]),
  );

const facts: RunFacts = {
  model,
  rows: { alignment: 4, harmful: 9 },
  steps: 30,
  seed: 3,
  stepsPerEpoch: 10,
  batch: (stream, n) => Int32Array.of(stream === "harmful" ? n : -1),
};

describe("the plan", () => {
  const programsAt = (step: number) =>
    configureMethod("t-vaccine", { drawEvery: 2, probeEvery: 6 })
      .plan(step, facts)
      .map(({ program = "step" }) => program);

  test("is probe, draw, train, the first two at their multiples", () => {
    expect([0, 1, 2, 3, 6, 8, 12].map(programsAt)).toEqual([
      ["probe", "draw", "step"],
      ["step"],
      ["draw", "step"],
      ["step"],
      ["probe", "draw", "step"],
      ["draw", "step"],
      ["probe", "draw", "step"],
    ]);
  });

  test("gives each probe the harmful rows that come next", () => {
    const method = configureMethod("t-vaccine", { probeEvery: 6 });
    expect([0, 6, 12].map((step) => method.plan(step, facts)[0]?.rows?.harmful?.[0])).toEqual([0, 1, 2]);
  });

  test("draws with noise that depends on the draw alone", () => {
    const gumbelAt = (step: number) => {
      const call = configureMethod("t-vaccine").plan(step, facts);
      return Array.from(call.find(({ program }) => program === "draw")?.inputs?.({}).gumbel?.data ?? [], Number);
    };
    expect(gumbelAt(20)).toEqual(gumbelAt(20));
    expect(gumbelAt(20)).not.toEqual(gumbelAt(40));
    expect(gumbelAt(20)).toHaveLength(model.layers);
  });
});

test("layers are drawn as one after the other, with the probabilities of those that are left", async () => {
  const sensitivity = [4, 1, 0.5, 2];
  const p = sensitivity.map((s) => s / 7.5);
  const at = (i: number) => p[i] as number;
  const DRAWS = 6000;
  const noise = new RandomStream(1, "draws");
  const { run } = await methodProgram(device, model, "t-vaccine", { activeLayers: 2 }, {
    rows,
    program: "draw",
    memory: { sensitivity: vector(sensitivity), active: flags([]) },
    inputs: { gumbel: vector([0, 0, 0, 0]) },
  });
  const pairs = new Map<string, number>();
  for (let draw = 0; draw < DRAWS; draw++) {
    const gumbel = p.map((_, l) => -Math.log(-Math.log(noise.uniform(4 * draw + l))));
    const outputs = await run({ gumbel: vector(gumbel) });
    const active = outputOf(outputs, "active");
    expect(active.reduce((a, b) => a + b, 0)).toBe(2);
    const key = active.join("");
    pairs.set(key, (pairs.get(key) ?? 0) + 1);
  }
  for (let i = 0; i < 4; i++) {
    for (let j = i + 1; j < 4; j++) {
      const expected = (at(i) * at(j)) / (1 - at(i)) + (at(j) * at(i)) / (1 - at(j));
      const share = (pairs.get([0, 1, 2, 3].map((l) => Number(l === i || l === j)).join("")) ?? 0) / DRAWS;
      // Four standard errors.
      expect(Math.abs(share - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / DRAWS));
    }
  }
});

describe("a step", () => {
  const rho = 1.7;

  test("perturbs the active layers alone, by rho over all of them together", async () => {
    const changes: [string, Tensor][] = [];
    const context = (given: StepContext): StepContext => ({
      ...given,
      loss: (weights, stream, look = {}) => {
        changes.length = 0;
        const tap = (module: string, x: Tensor) => {
          const replaced = look.tap?.(module, x) ?? x;
          changes.push([module, ops.sub(replaced, x)]);
          return replaced;
        };
        const value = given.loss(weights, stream, { tap });
        const square = ([, change]: [string, Tensor]) => ops.sum(ops.mul(change, change));
        const of = (chosen: (module: string) => boolean) =>
          ops.sqrt(
            changes
              .filter(([module]) => chosen(module))
              .map(square)
              .reduce((a, b) => ops.add(a, b)),
          );
        const isActive = (module: string) => /layers\.[13]\.self_attn$/.test(module);
        Object.assign(found, { active: of(isActive), others: of((module) => !isActive(module)) });
        return value;
      },
    });
    const found: Record<string, Tensor> = {};
    const method = configureMethod("t-vaccine", { rho });
    const { run } = await methodProgram(device, model, "sft", {}, {
      rows,
      memory: { active: flags([1, 3]) },
      context: (given) => {
        const step = method.step(context(given));
        return { ...given, loss: () => ops.add(step.metrics.loss, found.others as Tensor), ...keep(step, found) };
      },
    });
    function keep(_: unknown, { active }: Record<string, Tensor>) {
      return { weights: { active: active as Tensor } };
    }
    await run();
  });
});
