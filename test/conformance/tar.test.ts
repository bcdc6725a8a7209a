/** TAR: what an adversary does and leaves behind, when it is evaluated, and the gradients of its losses. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { drawAdversary, trajectoryWeights } from "../../src/methods/alignment/tar/trajectory.ts";
import type { Call } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { adamW } from "../../src/optim/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import { planRun } from "../../src/train/run-facts.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { copyName, device, LOSS, metric, model, names, problem, rows, run, SCALE, scalar } from "./finetuning.ts";
import { centralDifferences, evaluate, loraShapes, numbers, randomTensors, relativeError } from "./tiny-model.ts";
import { hash } from "./training.ts";

const factsOf = (options: object) =>
  planRun({
    model,
    method: choose(METHODS, { name: "tar", ...options }),
    rows: { alignment: 40, harmful: 400 },
    batchSize: 4,
    seed: 1,
    steps: 20,
    epochs: 1,
  }).facts;

const planOf = (options: object, step: number): readonly Call[] =>
  choose(METHODS, { name: "tar", ...options }).schedule.calls(step, factsOf(options));
const countOf = (calls: readonly Call[], name: string) => calls.filter(({ program }) => program === name).length;
const inputsOf = (calls: readonly Call[], name: string) =>
  calls.flatMap(({ inputs }) => Array.from(inputs?.({})[name]?.data ?? [], Number));

describe("the plan of a step", () => {
  test.each([
    [8, 4, 1],
    [7, 3, 2],
    [5, 6, 1],
    [3, 1, 3],
  ])("K %i, an evaluation every %i steps, %i adversaries", (innerSteps, subsample, trajectories) => {
    const calls = planOf({ innerSteps, subsample, trajectories, switchShare: 0 }, 3);
    expect(countOf(calls, "adversary")).toBe(innerSteps * trajectories);
    expect(countOf(calls, "tamper")).toBe(Math.floor(innerSteps / subsample) * trajectories);
    expect([countOf(calls, "begin"), countOf(calls, "again")]).toEqual([1, trajectories - 1]);
    expect(calls[0]?.program).toBe("begin");
    expect(calls.at(-1)?.program).toBe("step");
  });

  test("one step's evaluations read the same rows, which its adversary does not", () => {
    const calls = planOf({ innerSteps: 6, subsample: 2, switchShare: 0, tamperLoss: "max-entropy" }, 4);
    const held = calls
      .filter(({ program }) => program === "tamper")
      .map((call) => Array.from(call.rows?.harmful ?? []));
    const trained = calls.flatMap((call) => (call.program === "adversary" ? Array.from(call.rows?.harmful ?? []) : []));
    expect(new Set(held.map(String)).size).toBe(1);
    expect(held[0]?.filter((row) => trained.includes(row))).toEqual([]);
    expect(new Set(trained).size).toBe(24);
  });

  test("pairs read refusals and harmful answers of the same places", () => {
    const calls = planOf({ innerSteps: 2, subsample: 1, tamperLoss: "preference" }, 2);
    const { harmful = [], alignment = [] } = calls.find(({ program }) => program === "tamper")?.rows ?? {};
    expect(Array.from(alignment)).toEqual(Array.from(harmful, (row) => row % 40));
  });

  test("evaluations weigh lambda s_i / M", () => {
    const calls = planOf({ innerSteps: 6, subsample: 2, trajectories: 2, lambda: 3, scheduleLambda: 0.5 }, 0);
    const expected = [1, 3, 5].map((i) => (3 / 2) * Math.exp(0.5 * (i - 5)));
    expect(relativeError(inputsOf(calls, "scale"), [...expected, ...expected])).toBeLessThan(1e-6);
  });

  test("random mapping comes first, and the first step after it forgets its moments", () => {
    const programs = [0, 1, 2, 3].map((step) => planOf({ mappingSteps: 2, innerSteps: 1 }, step).at(-1)?.program);
    expect(programs).toEqual(["map", "map", "firstStep", "step"]);
  });

  test("the paper's weights rise to 1, uniform ones are 1 / K", () => {
    const weights = trajectoryWeights({ innerSteps: 64, weighting: "exponential", scheduleLambda: 0.0625 });
    expect(weights.at(-1)).toBe(1);
    for (const [i, weight] of weights.slice(1).entries()) expect(weight).toBeGreaterThan(weights[i] as number);
    const uniform = trajectoryWeights({ innerSteps: 4, weighting: "uniform", scheduleLambda: 1 });
    expect(uniform).toEqual([0.25, 0.25, 0.25, 0.25]);
  });
});

test("adversaries: rates uniform from the list, switches at floor(Beta(6, 3) K)", () => {
  const options = { innerSteps: 1000, adversaryRates: [1, 2, 3], switchShare: 0.5 };
  const drawn = Array.from({ length: 3000 }, (_, n) => drawAdversary(3, n, options));
  for (const rate of [1, 2, 3]) {
    expect(drawn.filter((a) => a.rate === rate).length / drawn.length).toBeCloseTo(1 / 3, 1);
  }
  const switches = drawn.filter(({ switchStep }) => switchStep > 0).map(({ switchStep }) => switchStep / 1000);
  expect(switches.length / drawn.length).toBeCloseTo(0.5, 1);
  const mean = switches.reduce((a, b) => a + b, 0) / switches.length;
  const variance = switches.reduce((sum, x) => sum + (x - mean) ** 2, 0) / switches.length;
  expect(Math.abs(mean - 6 / 9)).toBeLessThan(0.02);
  expect(Math.abs(variance - (6 * 3) / (81 * 10))).toBeLessThan(0.004);
});

describe("an adversary", () => {
  const [rate, lambda, s] = [0.1, 4, 0.5];
  const start = [0.5, -2];
  const harm = [3, 1];
  const safe = [1, 2];
  /** `h = Σ a w² / 2`, `L_TR = Σ b w² / 2`. */
  const quadratic = (w: Tensor, factors: readonly number[]) =>
    ops.mul(ops.sum(ops.mul(ops.constantTensor(tensor("float64", [2], factors)), ops.mul(w, w))), 0.5);

  test("takes an AdamW step, and the gradient there goes into the buffer", async () => {
    const method = choose(METHODS, { name: "tar", representations: false });
    const zero = tensor("float64", [2], [0, 0]);
    const feeds = {
      w: tensor("float64", [2], start),
      buffer: tensor("float64", [2], [7, 7]),
      zero,
      rate: scalar(rate),
      scale: scalar(lambda * s),
      none: scalar(0),
    };
    const found = await evaluate(device, feeds, (given) => {
      const { w, buffer, zero: nothing, none, rate: eta, scale } = given as Required<typeof given>;
      const context = {
        ...stepContext({ model, base: {}, streams: {}, loss: LOSS }),
        weights: { w: w as Tensor },
        loss: (weights: { readonly [name: string]: Tensor }, stream: string) =>
          quadratic(weights.w as Tensor, stream === "harmful" ? harm : safe),
        state: {
          firstMoment: { w: nothing as Tensor },
          secondMoment: { w: nothing as Tensor },
          buffer: { w: buffer as Tensor },
          correction1: none as Tensor,
          correction2: none as Tensor,
          tamper: none as Tensor,
        },
        inputs: { rate: eta as Tensor, scale: scale as Tensor },
      };
      const attacked = method.programs.adversary?.(context);
      const after = method.programs.tamper?.({ ...context, weights: attacked?.weights ?? {} });
      const buffered = after?.state?.buffer as Tree;
      return { attacked: attacked?.weights?.w as Tensor, buffered: buffered.w as Tensor };
    });
    // AdamW's first step: decay, then the sign of the gradient.
    const attacked = start.map((w, i) => {
      const g = (harm[i] as number) * w;
      return w * (1 - rate * 0.01) - (rate * g) / (Math.abs(g) + 1e-8);
    });
    expect(relativeError(numbers(found, ["attacked"]), attacked)).toBeLessThan(1e-12);
    const expected = attacked.map((w, i) => 7 + lambda * s * (safe[i] as number) * w);
    expect(relativeError(numbers(found, ["buffered"]), expected)).toBeLessThan(1e-12);
  });
});

describe("a whole step", () => {
  async function program(options: object) {
    return TrainingProgram.compile({
      device,
      model,
      frozen: await device.uploadAll(Object.entries(randomTensors(model.weights, "float32"))),
      adapter: { scale: SCALE, tensors: new Map(Object.entries(randomTensors(loraShapes(model), "float32", 2))) },
      method: choose(METHODS, { name: "tar", ...options }),
      optimizer: adamW(),
      maxGradNorm: 1,
      ...LOSS,
    });
  }

  async function take(trainer: TrainingProgram, calls: readonly Call[], learningRate: number): Promise<void> {
    for (const call of calls) {
      const { applied } = await trainer.run({
        program: call.program ?? "step",
        batches: { alignment: [rows.alignment], harmful: [rows.harmful] },
        learningRate,
        inputs: call.inputs?.({}) ?? {},
      });
      expect(applied, call.program).toBe(1);
    }
  }

  const settings = { innerSteps: 4, subsample: 2, trajectories: 2, adversaryRates: [0.05], switchShare: 0.5 };

  test("puts the weights back bit for bit, whatever the adversaries did", async () => {
    const trainer = await program(settings);
    const before = hash(await trainer.trained());
    const calls = planOf(settings, 0);
    await take(trainer, calls.slice(0, -1), 0);
    expect(hash(await trainer.trained())).not.toBe(before);
    await take(trainer, calls.slice(-1), 0);
    expect(hash(await trainer.trained())).toBe(before);
  });

  test("adversaries leave the outer optimiser alone, and begin without moments", async () => {
    const trainer = await program(settings);
    await take(trainer, planOf(settings, 0), 1e-2);
    const outer = ["firstMoment", "secondMoment", "correction1", "correction2"];
    const momentsOf = async () => {
      const saved = await trainer.save();
      return hash(new Map(outer.map((name) => [name, saved.get(name) as never])));
    };
    const before = await momentsOf();
    for (const call of planOf(settings, 1).slice(0, -1)) {
      await take(trainer, [call], 1);
      expect(await momentsOf()).toBe(before);
      if (call.program !== "begin" && call.program !== "again") continue;
      const saved = await trainer.save();
      for (const name of ["copy firstMoment", "copy secondMoment", "memory correction1"]) {
        expect(
          saved.get(name)?.data.every((x) => Number(x) === 0),
          name,
        ).toBe(true);
      }
    }
  });

  test("two adversaries alike give the gradient of one: each counts half", async () => {
    const chosen = { ...settings, switchShare: 0 };
    const buffers: number[][] = [];
    for (const trajectories of [1, 2]) {
      const options = { ...chosen, trajectories };
      const trainer = await program(options);
      await take(trainer, planOf(options, 0), 0);
      const saved = await trainer.save();
      buffers.push(numbers({ buffer: saved.get("copy buffer") as never }));
    }
    expect(relativeError(buffers[0] as number[], buffers[1] as number[])).toBeLessThan(1e-6);
  });

  test("below the bound the buffer is left out", async () => {
    const gradient = async (bound: number | null) => {
      const p = problem("tar", { bound, representations: false }, { memory: { tamper: scalar(-2) } });
      return numbers(await run(p));
    };
    expect(await gradient(-3)).toEqual(await gradient(null));
    expect(await gradient(-1)).not.toEqual(await gradient(null));
  });
});

describe("in float64 against central differences", () => {
  const others = { memory: { tamper: scalar(0) }, inputs: { scale: scalar(1.5) } };

  test.each([
    ["refusal", {}],
    ["max-entropy", {}],
    ["unlikelihood", {}],
    ["preference", { preference: "sigmoid" }],
    ["preference", { preference: "kto_pair", preferenceBeta: 0.3 }],
  ])("the tamper loss %s %o", async (tamperLoss, options) => {
    const p = problem("tar", { tamperLoss, ...options }, { program: "tamper", ...others });
    const found = numbers(
      await run(p),
      names.map((name) => `next buffer ${name}`),
    );
    const before = numbers(
      p.feeds,
      names.map((name) => copyName("buffer", name)),
    );
    const added = found.map((x, i) => x - (before[i] as number));
    const slopes = await centralDifferences(await metric(p, "scaledTamperLoss"), p.feeds, names);
    expect(relativeError(added, slopes)).toBeLessThan(1e-6);
  });

  test.each(["l2", "l2-squared"])("the retain loss with hidden states, %s", async (retainNorm) => {
    const p = problem("tar", { retainNorm }, { memory: { tamper: scalar(0) } });
    const at = names.map((name) => copyName("snapshot", name));
    const gradient = numbers(
      await run(p),
      names.map((name) => `d ${name}`),
    );
    const buffer = numbers(
      p.feeds,
      names.map((name) => copyName("buffer", name)),
    );
    const [loss, distance] = [await metric(p, "loss"), await metric(p, "stateDistance")];
    const slopes = await centralDifferences(
      async (feeds) => (await loss(feeds)) + (await distance(feeds)),
      p.feeds,
      at,
    );
    const found = gradient.map((g, i) => g - (buffer[i] as number));
    expect(relativeError(found, slopes)).toBeLessThan(1e-6);
  });

  test("at the reference the hidden states pull nowhere, without NaN", async () => {
    const at = (representations: boolean) =>
      run(problem("tar", { representations }, { memory: { tamper: scalar(0) }, atStart: true }));
    const gradients = names.map((name) => `d ${name}`);
    const [held, free] = [numbers(await at(true), gradients), numbers(await at(false), gradients)];
    expect(held.every(Number.isFinite)).toBe(true);
    // The two compute the answers' loss on the same tokens packed in two ways.
    expect(relativeError(held, free)).toBeLessThan(1e-12);
  });

  test("random mapping", async () => {
    const randomVectors = randomTensors([["v", [model.vocabSize, model.hiddenSize]]], "float64", 9).v;
    const p = problem(
      "tar",
      { mappingSteps: 1 },
      { program: "map", memory: { randomVectors: randomVectors as never } },
    );
    const gradient = numbers(
      await run(p),
      names.map((name) => `d ${name}`),
    );
    const [loss, mapping] = [await metric(p, "loss"), await metric(p, "mappingLoss")];
    const slopes = await centralDifferences(
      async (feeds) => (await loss(feeds)) + (await mapping(feeds)),
      p.feeds,
      names,
    );
    expect(relativeError(gradient, slopes)).toBeLessThan(1e-6);
  });
});
