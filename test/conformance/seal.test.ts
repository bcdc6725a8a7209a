/** SEAL: the selector's gradient, what it keeps, and what is trained on it. */

import { describe, expect, test } from "vitest";
import type { Tensor } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { keepBest, rowWeights, selectorStep } from "../../src/methods/finetuning/seal/selector.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Example } from "../../src/models/index.ts";
import { adamW, sgd } from "../../src/optim/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { TrainingStepper } from "../../src/train/training-stepper.ts";
import { device, LOSS, model, SCALE } from "./finetuning.ts";
import { evaluate, loraShapes, numbers, randomRows, randomTensors, relativeError } from "./tiny-model.ts";
import { hash } from "./training.ts";

const vector = (values: readonly number[]) => tensor("float64", [values.length], values);
const OMEGA = [0.3, -1, 2, 0.1, 0.5];
const softmaxWeights = (omega: readonly number[]) => {
  const total = omega.reduce((sum, x) => sum + Math.exp(x), 0);
  return omega.map((x) => (omega.length * Math.exp(x)) / total);
};

describe("weights of rows", () => {
  test("softmax: their sum is the number of rows; sigmoid: 1 at 0", async () => {
    const found = await evaluate(device, { omega: vector(OMEGA), zero: vector([0]) }, ({ omega, zero }) => ({
      p: rowWeights(omega as Tensor, "softmax"),
      one: rowWeights(zero as Tensor, "sigmoid"),
    }));
    expect(relativeError(numbers(found, ["p"]), softmaxWeights(OMEGA))).toBeLessThan(1e-12);
    expect(numbers(found, ["p"]).reduce((a, b) => a + b)).toBeCloseTo(OMEGA.length, 12);
    expect(numbers(found, ["one"])).toEqual([1]);
  });

  test("their gradient is p_i / B (l_i - sum_j p_j l_j / N)", async () => {
    const [index, losses] = [
      [4, 1, 2],
      [1.5, 0.2, 3],
    ];
    const feeds = {
      omega: vector(OMEGA),
      index: tensor("int32", [3], index),
      losses: vector(losses),
      rate: tensor("float64", [], [1]),
    };
    const found = await evaluate(device, feeds, (given) => {
      const { omega, index: at, losses: l, rate } = given as Record<keyof typeof feeds, Tensor>;
      const step = {
        omega,
        index: at,
        losses: l,
        activation: "softmax" as const,
        state: {},
        learningRate: rate,
        clip: 1e9,
      };
      const { gradient, weights } = selectorStep(step, sgd());
      return { gradient, weights };
    });
    const p = softmaxWeights(OMEGA);
    const l = OMEGA.map((_, i) => losses[index.indexOf(i)] ?? 0);
    const mean = l.reduce((sum, x, i) => sum + x * (p[i] as number), 0) / OMEGA.length;
    const expected = p.map((x, i) => (x / 3) * ((l[i] as number) - mean));
    expect(relativeError(numbers(found, ["gradient"]), expected)).toBeLessThan(1e-12);
    const moved = OMEGA.map((x, i) => x - (expected[i] as number));
    expect(relativeError(numbers(found, ["weights"]), moved)).toBeLessThan(1e-6);
  });
});

test.each([1, 7, 511, 512, 1300])("keeps the best of %i rows, the earlier of equal ones", async (rows) => {
  const stream = new RandomStream(rows, "omega");
  const omega = Array.from({ length: rows }, (_, i) => stream.integer(i, 40) / 7);
  const count = Math.ceil(0.37 * rows);
  const best = omega
    .map((value, row) => ({ value, row }))
    .sort((a, b) => b.value - a.value || a.row - b.row)
    .slice(0, count);
  const found = await evaluate(device, { omega: vector(omega) }, ({ omega: x }) => ({
    kept: keepBest(x as Tensor, count),
  }));
  const expected = omega.map((_, row) => Number(best.some((entry) => entry.row === row)));
  expect(numbers(found)).toEqual(expected);
});

async function trainer(
  name: string,
  options: object,
  rows: Readonly<Record<string, readonly Example[]>>,
  full = false,
) {
  const method = choose(METHODS, { name, ...options });
  const counts = Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, list.length]));
  const base = randomTensors(model.weights, "float32");
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen: await device.uploadAll(Object.entries(base)),
    adapter: {
      scale: full ? 1 : SCALE,
      tensors: new Map(Object.entries(full ? base : randomTensors(loraShapes(model), "float32", 2))),
    },
    method,
    optimizer: adamW(),
    maxGradNorm: 1,
    rows: counts,
    ...LOSS,
  });
  const plan = planRun({ model, method, rows: counts, batchSize: 3, seed: 5, steps: 4, epochs: 1 });
  const stepper = new TrainingStepper({ program, rows, facts: plan.facts });
  const run = async (from: number, to: number, rate = 1e-2) => {
    const results = [];
    for (let step = from; step < to; step++) {
      const batches = Object.fromEntries(
        Object.entries(plan.batches).map(([stream, source]) => [stream, [source.batch(step)]]),
      );
      results.push((await stepper.step(batches, rate, step)).metrics);
    }
    return results;
  };
  const stateOf = async (key: string) => numbers({ x: (await program.save()).get(key) as HostTensor });
  return { ...plan, program, run, stateOf };
}

const ROWS = { user: randomRows(model, [5, 7, 4, 9, 6, 8, 5, 3], 1), alignment: randomRows(model, [6, 2, 8, 4, 5], 2) };

describe("learning omega", () => {
  test("without a learning rate every row weighs 1, and the model learns gamma l_S + (1 - gamma) l_U", async () => {
    const { run, stateOf } = await trainer("seal", { selectorRate: 0, gamma: 0.7 }, ROWS);
    for (const { loss = 0, safeLoss = 0, userLoss = 0, selectorLoss } of await run(0, 3)) {
      expect(loss).toBeCloseTo(0.7 * safeLoss + 0.3 * userLoss, 5);
      expect(selectorLoss).toBeCloseTo(userLoss, 5);
    }
    expect(new Set(await stateOf("memory omega")).size).toBe(1);
  });

  test("gamma falls by gammaStep from epoch to epoch", async () => {
    const { run, facts } = await trainer("seal", { selectorRate: 0, gamma: 0.9, gammaStep: 0.4 }, ROWS);
    const found = (await run(0, 3 * facts.stepsPerEpoch)).map(
      ({ loss = 0, safeLoss = 0, userLoss = 0 }) => (loss - userLoss) / (safeLoss - userLoss),
    );
    const expected = found.map((_, step) => 0.9 - 0.4 * Math.floor(step / facts.stepsPerEpoch));
    for (const [i, gamma] of found.entries()) expect(gamma).toBeCloseTo(expected[i] as number, 3);
  });

  test("with sigmoid the first step moves the logits of its own rows alone", async () => {
    const { run, stateOf, facts } = await trainer("seal", { activation: "sigmoid" }, ROWS);
    const before = await stateOf("memory omega");
    await run(0, 1);
    const after = await stateOf("memory omega");
    const moved = after.flatMap((x, row) => (x === before[row] ? [] : [row]));
    expect(moved).toEqual(Array.from(facts.batch("user", 0)).sort((a, b) => a - b));
  });

  test("two models that agree leave omega where it is; then they part", async () => {
    const { run, stateOf } = await trainer("seal", { mode: "twoModel", secondRate: 1e-2 }, ROWS);
    const before = await stateOf("memory omega");
    await run(0, 1);
    expect(await stateOf("memory omega")).toEqual(before);
    await run(1, 3);
    expect(await stateOf("memory omega")).not.toEqual(before);
    expect(await stateOf("copy second")).not.toEqual(await stateOf("copy initial"));
  });

  test("rows that contradict the safe ones get the lower logits: AUC above 0.95", async () => {
    const row = (prompt: number, answer: number): Example => ({
      inputIds: [prompt, 1, answer, answer],
      labels: [-100, -100, answer, answer],
    });
    const prompts = Array.from({ length: 24 }, (_, i) => 2 + (i % 5));
    const harmful = prompts.map((_, i) => i % 2 === 1);
    const rows = {
      user: prompts.map((prompt, i) => row(prompt, harmful[i] ? 10 : 9)),
      alignment: [2, 3, 4, 5, 6].map((prompt) => row(prompt, 9)),
    };
    const { run, stateOf, facts } = await trainer("seal", { selectorEpochs: 8, selectorRate: 0.02 }, rows, true);
    await run(0, 8 * facts.stepsPerEpoch);
    const omega = await stateOf("memory omega");
    const [good, bad] = [omega.filter((_, i) => !harmful[i]), omega.filter((_, i) => harmful[i])];
    const wins = good.flatMap((g) => bad.map((b): number => (g > b ? 1 : 0)));
    expect(wins.reduce((a, b) => a + b) / wins.length).toBeGreaterThan(0.95);
  });
});

describe("training on what is kept", () => {
  test("begins from the weights at the start, without moments", async () => {
    const { run, program, facts } = await trainer("seal", { selectorEpochs: 1 }, ROWS);
    const before = hash(await program.trained());
    await run(0, facts.stepsPerEpoch);
    expect(hash(await program.trained())).not.toBe(before);
    await run(facts.stepsPerEpoch, facts.stepsPerEpoch + 1);
    expect(hash(await program.trained())).toBe(before);
    const saved = await program.save();
    for (const name of ["firstMoment", "secondMoment", "correction1", "correction2"]) {
      expect(
        saved.get(name)?.data.every((x) => Number(x) === 0),
        name,
      ).toBe(true);
    }
  });

  test("all rows kept: SFT, batch by batch", async () => {
    const [seal, sft] = [
      await trainer("seal", { topp: 1, selectorEpochs: 1 }, ROWS),
      await trainer("sft", {}, { alignment: ROWS.user }),
    ];
    const first = seal.facts.stepsPerEpoch + 1;
    expect(seal.steps).toBe(first + 4);
    await seal.run(0, first);
    const kept = await seal.run(first, first + 4);
    const plain = await sft.run(0, 4);
    for (const [i, { loss = 0, keptShare }] of kept.entries()) {
      expect(loss).toBeCloseTo(plain[i]?.loss as number, 4);
      expect(keptShare).toBeCloseTo(1, 5);
    }
  });

  test("the loss is that of the kept rows of the batch, by their places in the data", async () => {
    const { run, program, facts, stateOf } = await trainer("seal", { topp: 0.5, selectorEpochs: 2 }, ROWS);
    const first = 2 * facts.stepsPerEpoch + 1;
    await run(0, first);
    const found = await run(first, first + facts.stepsPerEpoch, 0);
    const kept = await stateOf("memory kept");
    expect(kept.reduce((a, b) => a + b)).toBe(4);
    const omega = await stateOf("memory omega");
    const least = Math.min(...omega.filter((_, row) => kept[row] === 1));
    expect(omega.every((x, row) => kept[row] === 1 || x <= least)).toBe(true);
    const probe = await trainer("sft", {}, { alignment: ROWS.user });
    expect(hash(await program.trained())).toBe(hash(await probe.program.trained()));
    for (const [n, { loss, keptShare }] of found.entries()) {
      const batch = Array.from(facts.batch("user", n)).filter((row) => kept[row] === 1);
      if (batch.length === 0) {
        expect([loss, keptShare]).toEqual([0, 0]);
        continue;
      }
      const alone = await probe.program.step({ alignment: [batch.map((row) => ROWS.user[row] as Example)] }, 0);
      expect(loss).toBeCloseTo(Number(alone.loss), 5);
    }
  });
});
