import { expect, test } from "vitest";
import type { Tensor, Tree } from "../autodiff/index.ts";
import { choose } from "../choice.ts";
import { Device } from "../runtime/index.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import type { Optimizer } from "./optimizer.ts";
import { OPTIMIZERS } from "./registry.ts";

const START = [1, -2, 0.5];
const GRADIENTS = [
  [0.3, -0.1, 0],
  [-0.2, 0.4, 1],
  [0.5, 0.5, -2],
];
const RATE = 0.1;
const DECAY = 0.05;

/** Weights after each of the steps, computed by the compiled update. */
async function run(optimizer: Optimizer): Promise<number[][]> {
  const float = (shape: readonly number[]) => ({ dtype: "float32" as const, shape });
  const types = optimizer.state(START.length);
  const inputs = {
    weights: float([START.length]),
    gradient: float([START.length]),
    rate: float([]),
    ...Object.fromEntries(Object.entries(types).map(([name, type]) => [`state ${name}`, type])),
  };
  const program = await new Device().compile(inputs, (given: Tree) => {
    const result = optimizer.update({
      weights: given.weights as Tensor,
      gradient: given.gradient as Tensor,
      learningRate: given.rate as Tensor,
      state: Object.fromEntries(Object.keys(types).map((name) => [name, given[`state ${name}`] as Tensor])),
    });
    const state = Object.entries(result.state).map(([name, value]) => [`next state ${name}`, value] as const);
    return { "next weights": result.weights, ...Object.fromEntries(state) };
  });
  let feeds: Record<string, HostTensor> = {
    weights: tensor("float32", [START.length], START),
    ...Object.fromEntries(
      Object.entries(types).map(([name, { shape }]) => [`state ${name}`, zeros("float32", shape as number[])]),
    ),
  };
  const trail: number[][] = [];
  for (const gradient of GRADIENTS) {
    const next = await program.run({
      ...feeds,
      gradient: tensor("float32", [START.length], gradient),
      rate: tensor("float32", [], [RATE]),
    });
    feeds = Object.fromEntries(Object.entries(next).map(([name, value]) => [name.slice("next ".length), value]));
    trail.push(Array.from((feeds.weights as HostTensor).data, Number));
  }
  return trail;
}

/** SGD written out for one number. */
function sgdByHand(momentum: number): number[][] {
  const weights = [...START];
  const velocity = START.map(() => 0);
  return GRADIENTS.map((gradient) => {
    gradient.forEach((g, i) => {
      velocity[i] = momentum * velocity[i]! + g + DECAY * weights[i]!;
      weights[i] = weights[i]! - RATE * velocity[i]!;
    });
    return [...weights];
  });
}

/** AdamW written out for one number. */
function adamwByHand(): number[][] {
  const weights = [...START];
  const first = START.map(() => 0);
  const second = START.map(() => 0);
  return GRADIENTS.map((gradient, t) => {
    gradient.forEach((g, i) => {
      first[i] = 0.9 * first[i]! + 0.1 * g;
      second[i] = 0.999 * second[i]! + 0.001 * g * g;
      const m = first[i]! / (1 - 0.9 ** (t + 1));
      const v = second[i]! / (1 - 0.999 ** (t + 1));
      weights[i] = weights[i]! * (1 - RATE * DECAY) - (RATE * m) / (Math.sqrt(v) + 1e-8);
    });
    return [...weights];
  });
}

test.each([
  ["sgd", { name: "sgd" }, () => sgdByHand(0)],
  ["sgd with momentum", { name: "sgd", momentum: 0.9 }, () => sgdByHand(0.9)],
  ["adamw", { name: "adamw" }, adamwByHand],
])("%s is its formula, step by step", async (_, chosen, expected) => {
  const found = await run(choose(OPTIMIZERS, chosen)(DECAY));
  found.flat().forEach((value, i) => {
    expect(value).toBeCloseTo(expected().flat()[i]!, 5);
  });
});

test("an unknown optimiser, and settings that it lacks, are named", () => {
  expect(() => choose(OPTIMIZERS, { name: "magic" })).toThrow(/adamw, sgd; found magic/);
  expect(() => choose(OPTIMIZERS, { name: "adamw", momentum: 0.9 })).toThrow(/momentum/);
});
