/** Booster against its definition: special cases, closed forms, central differences. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import type { StepContext } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { Device } from "../../src/runtime/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import {
  centralDifferences,
  compile,
  evaluate,
  type HostTensors,
  loraShapes,
  numbers,
  pick,
  randomRows,
  randomTensors,
  relativeError,
  streamFeeds,
  streamSpec,
  streamsOf,
  tinyModel,
} from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const lossOptions = { chunks: 2 };
const rows = {
  alignment: randomRows(model, [5, 9, 3, 7], 1),
  harmful: randomRows(model, [6, 2, 8, 4], 2),
};

const halves = <T>(list: readonly T[]): T[][] => [list.slice(0, 2), list.slice(2)];

/** Everything that a step at these weights reads, and the step itself as a function of the arguments. */
function problem(dtype: "float32" | "float64", { microBatches = 1, full = false } = {}) {
  const weights = randomTensors(model.weights, dtype);
  const lora = randomTensors(loraShapes(model), dtype, 2);
  const trained = full ? model.weights.keys() : loraShapes(model).keys();
  const parts = Object.entries(rows).map(([stream, examples]) => [
    stream,
    microBatches === 1 ? [examples] : halves(examples),
  ]);
  const feeds: HostTensors = {
    ...weights,
    ...(full ? {} : lora),
    ...streamFeeds(Object.fromEntries(parts), lossOptions.chunks),
  };
  const spec = streamSpec(Object.keys(rows), lossOptions.chunks, microBatches);
  const lossOf = (inputs: Tree) => {
    const base = pick(inputs, model.weights.keys());
    return stepContext({ model, base, scale: 0.5, streams: streamsOf(inputs), loss: lossOptions }).loss;
  };
  return { feeds, spec, names: [...trained], lossOf };
}

const contextWith = (given: Pick<StepContext, "weights" | "loss">): StepContext => ({
  ...stepContext({ model, base: {}, streams: {}, loss: lossOptions }),
  ...given,
});

const stepWith =
  (method: string, options: object, { names, lossOf }: ReturnType<typeof problem>) =>
  (inputs: Tree) =>
    choose(METHODS, { name: method, ...options }).step(
      contextWith({ weights: pick(inputs, names), loss: lossOf(inputs) }),
    );

async function gradientOf(method: string, options: object, p: ReturnType<typeof problem>): Promise<number[]> {
  const result = await evaluate(device, p.feeds, renamed(stepWith(method, options, p)), p.spec);
  return numbers(result);
}

/** Gradients under names that no argument has. */
const renamed =
  (step: (inputs: Tree) => { gradient: Tree }) =>
  (inputs: Tree): Tree =>
    Object.fromEntries(Object.entries(step(inputs).gradient).map(([name, g]) => [`d ${name}`, g]));

const trainingProgram = async (method: string, options: object) =>
  (await compileTraining(device, model, { method, options })).program;

const batches = { alignment: [rows.alignment], harmful: [rows.harmful] };

describe("special cases", () => {
  test("lambda 0 is SFT bit for bit: the gradient", async () => {
    const p = problem("float32");
    expect(await gradientOf("booster", { lambda: 0 }, p)).toEqual(await gradientOf("sft", {}, p));
  });

  test("lambda 0 is SFT bit for bit: weights and optimiser after whole steps", async () => {
    const [booster, sft] = [await trainingProgram("booster", { lambda: 0 }), await trainingProgram("sft", {})];
    for (let i = 0; i < 3; i++) {
      await booster.step(batches, 1e-2);
      await sft.step(batches, 1e-2);
    }
    expect(hash(await booster.save())).toBe(hash(await sft.save()));
  });

  test("alpha 0 is SFT to rounding: the harmful gradient is the same before and after", async () => {
    const p = problem("float32");
    const [found, expected] = [await gradientOf("booster", { alpha: 0 }, p), await gradientOf("sft", {}, p)];
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
  });

  test("identity and exact are two methods", async () => {
    const p = problem("float32");
    const [identity, exact] = [
      await gradientOf("booster", { through: "identity" }, p),
      await gradientOf("booster", { through: "exact" }, p),
    ];
    expect(relativeError(identity, exact)).toBeGreaterThan(1e-3);
  });
});

describe("the simulated step", () => {
  test.each(["identity", "exact"])(
    "has length alpha over all weights together, and one harmful batch (%s)",
    async (through) => {
      const alpha = 0.07;
      const p = problem("float32");
      const result = await evaluate(
        device,
        p.feeds,
        (inputs) => {
          const at: Tree[] = [];
          const streams: string[] = [];
          const loss = p.lossOf(inputs);
          const weights = pick(inputs, p.names);
          const observed = (w: Tree, stream: string) => {
            at.push(w);
            streams.push(stream);
            return loss(w, stream);
          };
          choose(METHODS, { name: "booster", alpha, through }).step(contextWith({ weights, loss: observed }));
          expect(streams).toEqual(["harmful", "harmful", "alignment"]);
          return { length: tree.globalNorm(tree.sub(at[1] as Tree, weights)) };
        },
        p.spec,
      );
      expect(Math.abs((numbers(result)[0] as number) / alpha - 1)).toBeLessThan(1e-5);
    },
  );

  test.each(["identity", "exact"])("leaves the weights that it starts from alone (%s)", async (through) => {
    const program = await trainingProgram("booster", { lambda: 20, alpha: 1, through });
    const before = hash(await program.trained());
    const { applied, gradientNorm } = await program.step(batches, 0);
    expect(applied).toBe(1);
    expect(gradientNorm).toBeGreaterThan(0);
    expect(hash(await program.trained())).toBe(before);
  });
});

describe("in float64 against central differences", () => {
  test("the loss, for every weight of the model", async () => {
    const p = problem("float64", { full: true });
    const { compiled, value } = await differentiable(p, (inputs) => {
      const { value, grad } = valueAndGrad((w) => p.lossOf(inputs)(w, "alignment"))(pick(inputs, p.names));
      return { value, gradient: grad };
    });
    const found = numbers(
      await compiled.run(p.feeds),
      p.names.map((name) => `d ${name}`),
    );
    expect(relativeError(found, await centralDifferences(value, p.feeds, p.names))).toBeLessThan(1e-7);
  });

  test.each([
    ["LoRA factors", { full: false, microBatches: 1 }],
    ["LoRA factors, in micro-batches", { full: false, microBatches: 2 }],
    ["every weight", { full: true, microBatches: 1 }],
  ])("the whole exact objective: %s", async (_, kind) => {
    const [lambda, alpha] = [3, 0.2];
    const p = problem("float64", kind);
    const { compiled, value } = await differentiable(p, (inputs) => {
      const { gradient, metrics } = stepWith("booster", { lambda, alpha, through: "exact" }, p)(inputs);
      const { loss, harmfulLoss, harmfulLossAfter } = metrics as Record<string, Tensor> &
        Record<"loss" | "harmfulLoss" | "harmfulLossAfter", Tensor>;
      return { value: ops.add(loss, ops.mul(ops.sub(harmfulLoss, harmfulLossAfter), lambda)), gradient };
    });
    const found = numbers(
      await compiled.run(p.feeds),
      p.names.map((name) => `d ${name}`),
    );
    expect(relativeError(found, await centralDifferences(value, p.feeds, p.names))).toBeLessThan(1e-6);
  });
});

/** Two programs: value and gradient at once, and the value alone for the differences. */
async function differentiable(
  { feeds, spec }: ReturnType<typeof problem>,
  build: (inputs: Tree) => { value: Tensor; gradient: Tree },
) {
  const compiled = await compile(device, feeds, renamed(build), spec);
  const alone = await compile(device, feeds, (inputs) => ({ value: build(inputs).value }), spec);
  const value = async (moved: HostTensors) => numbers(await alone.run(moved))[0] as number;
  return { compiled, value };
}

describe("on a quadratic, h(w) = w'Hw / 2 and f = 0", () => {
  const H = [
    [3, 1, 0],
    [1, 2, -1],
    [0, -1, 1],
  ];
  const w = [0.5, -1, 2];
  const [lambda, alpha] = [4, 0.3];
  const times = (x: readonly number[]) => H.map((row) => row.reduce((sum, h, i) => sum + h * (x[i] as number), 0));
  const norm = (x: readonly number[]) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  const plus = (x: readonly number[], y: readonly number[], factor: number) =>
    x.map((v, i) => v + factor * (y[i] as number));
  const Hw = times(w);
  const u = Hw.map((v) => v / norm(Hw));

  async function gradient(through: string): Promise<number[]> {
    // Two tensors, so that a norm of each would show.
    const feeds = {
      a: tensor("float64", [1, 2], w.slice(0, 2)),
      b: tensor("float64", [1, 1], w.slice(2)),
      H: tensor("float64", [3, 3], H.flat()),
    };
    const result = await evaluate(
      device,
      feeds,
      renamed((inputs) => {
        const loss = (weights: Tree, stream: string) => {
          const x = ops.concat([weights.a as Tensor, weights.b as Tensor], 1);
          const quadratic = ops.mul(ops.sum(ops.mul(ops.matmul(x, inputs.H as Tensor), x)), 0.5);
          return stream === "harmful" ? quadratic : ops.mul(ops.sum(x), 0);
        };
        return choose(METHODS, { name: "booster", lambda, alpha, through }).step(
          contextWith({ weights: pick(inputs, ["a", "b"]), loss }),
        );
      }),
    );
    return numbers(result);
  }

  test("identity: lambda alpha H H w / |Hw|", async () => {
    const expected = times(u).map((v) => lambda * alpha * v);
    expect(relativeError(await gradient("identity"), expected)).toBeLessThan(1e-6);
  });

  test("exact: with the Jacobian of the step, I - alpha (H - H u u') / |Hw|, u = Hw / |Hw|", async () => {
    const after = times(plus(w, u, -alpha));
    const along = u.reduce((sum, v, i) => sum + v * (after[i] as number), 0);
    const curved = plus(times(after), times(u), -along).map((v) => (alpha * v) / norm(Hw));
    const expected = plus(Hw, plus(after, curved, -1), -1).map((v) => lambda * v);
    expect(relativeError(await gradient("exact"), expected)).toBeLessThan(1e-6);
  });
});
