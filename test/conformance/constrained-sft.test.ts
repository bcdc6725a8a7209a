/** Constrained SFT: its weights are the derivative of its objective, and a brake. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree, valueAndGrad } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { constrainedBetas, constrainedWeights } from "../../src/methods/finetuning/constrained-sft.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { labelledTokens } from "../../src/methods/tokens.ts";
import { sgd } from "../../src/optim/index.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { copyName, device, gradients, LOSS, model, names, problem, run, SCALE, SPEC } from "./finetuning.ts";
import {
  centralDifferences,
  compile,
  evaluate,
  loraShapes,
  numbers,
  pick,
  randomTensors,
  relativeError,
  streamsOf,
} from "./tiny-model.ts";

const BETAS = { beta: 0.3, biasLength: 3, biasFactor: 2, firstTokenBiasFactor: 4 };

/** The paper's objective written out: mean of `(2 / beta) log(1 + exp(beta (log ref - log p)))`. */
function objective(inputs: Tree, weights: Tree): Tensor {
  const context = stepContext({
    model,
    base: pick(inputs, model.weights.keys()),
    scale: SCALE,
    streams: streamsOf(inputs),
    loss: LOSS,
  });
  const tokens = labelledTokens(context, weights, "user");
  const reference = labelledTokens(
    context,
    Object.fromEntries(names.map((name) => [name, inputs[copyName("reference", name)] as Tensor])),
    "user",
  );
  const betas = constrainedBetas(tokens.place, BETAS, "float64");
  const drop = ops.sub(reference.logProbability, tokens.logProbability);
  const loss = ops.mul(ops.log(ops.add(1, ops.exp(ops.mul(betas, drop)))), ops.div(2, betas));
  return ops.sum(ops.mul(loss, tokens.shares));
}

describe("the gradient", () => {
  test("is that of the log-sigmoid objective, by autograd and by central differences", async () => {
    const p = problem("constrained-sft", BETAS);
    const found = numbers(await run(p), gradients);
    const written = await compile(
      device,
      p.feeds,
      (inputs) => {
        const { value, grad } = valueAndGrad((w) => objective(inputs, w))(pick(inputs, names));
        return { value, ...Object.fromEntries(Object.entries(grad).map(([name, g]) => [`d ${name}`, g])) };
      },
      SPEC,
    );
    const outputs = await written.run(p.feeds);
    expect(relativeError(found, numbers(outputs, gradients))).toBeLessThan(1e-12);
    const slopes = await centralDifferences(
      async (feeds) => numbers(await written.run(feeds), ["value"])[0] as number,
      p.feeds,
      names,
    );
    expect(relativeError(found, slopes)).toBeLessThan(1e-6);
  });

  test("is that of SFT where the model is the reference", async () => {
    const found = await run(problem("constrained-sft", {}, { atStart: true }));
    const sft = await run(problem("constrained-sft", { beta: 0 }));
    expect(numbers(found, gradients)).toEqual(numbers(sft, gradients));
    expect(numbers(found, ["meanTokenWeight"])[0]).toBeCloseTo(1, 6);
  });
});

test("no token is dropped: the least weight is a thousandth", async () => {
  const feeds = { reference: tensor("float64", [3], [-9, -1, -0.5]), now: tensor("float64", [3], [-1, -1, -1]) };
  const result = await evaluate(device, feeds, ({ reference, now }) => ({
    weights: constrainedWeights(now as Tensor, reference as Tensor, ops.constant(2, "float64")),
  }));
  const found = numbers(result);
  expect(found[0]).toBe(1e-3);
  expect(found[1]).toBe(1);
  expect(found[2]).toBeCloseTo(2 / (1 + Math.exp(-1)), 12);
});

test("a large beta on the first token keeps its probability near the reference's", async () => {
  const rows = [{ inputIds: [1, 2, 3], labels: [-100, -100, 3] }];
  const frozen = await device.uploadAll(Object.entries(randomTensors(model.weights, "float32")));
  /** By how much the token's loss falls in plain gradient descent. */
  async function fall(name: string, options: object): Promise<number> {
    const program = await TrainingProgram.compile({
      device,
      model,
      frozen,
      adapter: { scale: SCALE, tensors: new Map(Object.entries(randomTensors(loraShapes(model), "float32", 2))) },
      method: choose(METHODS, { name, ...options }),
      optimizer: sgd(),
      maxGradNorm: 1,
      ...LOSS,
    });
    const losses: number[] = [];
    for (let step = 0; step < 60; step++) {
      const { loss, tokenLoss = loss } = await program.step({ alignment: [rows], user: [rows] }, 0.1);
      losses.push(Number(tokenLoss));
    }
    return Number(losses[0]) - Number(losses.at(-1));
  }
  const plain = await fall("sft", {});
  const held = await fall("constrained-sft", { beta: 1, firstTokenBiasFactor: 50 });
  expect(plain).toBeGreaterThan(1);
  expect(held).toBeGreaterThan(0);
  expect(held).toBeLessThan(0.25 * plain);
});
