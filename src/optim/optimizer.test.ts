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

/** Schedule-free AdamW as its paper writes it, with z, x and y apart: the trained y and the average x after each step. */
function scheduleFreeByHand(beta1: number) {
  const [z, x, v] = [[...START], [...START], START.map(() => 0)];
  const y = [...START];
  let squares = 0;
  return GRADIENTS.map((gradient, step) => {
    squares += RATE ** 2;
    const c = RATE ** 2 / squares;
    gradient.forEach((g, i) => {
      v[i] = 0.999 * (v[i] as number) + 0.001 * g * g;
      const u = g / (Math.sqrt((v[i] as number) / (1 - 0.999 ** (step + 1))) + 1e-8) + DECAY * (y[i] as number);
      z[i] = (z[i] as number) - RATE * u;
      x[i] = (1 - c) * (x[i] as number) + c * (z[i] as number);
      y[i] = (1 - beta1) * (z[i] as number) + beta1 * (x[i] as number);
    });
    return { y: [...y], x: [...x], offset: z.map((value, i) => value - (y[i] as number)) };
  });
}

test.each([0.9, 0.5])(
  "schedule-free AdamW with beta1 %d: what is trained, and the average that is handed out",
  async (beta1) => {
    const optimizer = choose(OPTIMIZERS, { name: "schedule-free-adamw", beta1 })(DECAY);
    const expected = scheduleFreeByHand(beta1);
    (await run(optimizer)).forEach((weights, step) => {
      weights.forEach((w, i) => {
        expect(w).toBeCloseTo(expected[step]?.y[i] as number, 5);
      });
    });
    for (const { y, x, offset } of expected) {
      optimizer.published?.of(y, { offset }).forEach((w, i) => {
        expect(w).toBeCloseTo(x[i] as number, 5);
      });
    }
    expect(choose(OPTIMIZERS, { name: "schedule-free-adamw", publish: "last" })(0).published).toBeUndefined();
  },
);

test("AdamW's betas can be set: with beta1 0 a step goes by the present gradient alone", async () => {
  const trail = await run(choose(OPTIMIZERS, { name: "adamw", beta1: 0, beta2: 0 })(0));
  let at = [...START];
  trail.forEach((weights, step) => {
    at = at.map((w, i) => w - RATE * Math.sign(GRADIENTS[step]?.[i] as number));
    weights.forEach((w, i) => {
      expect(w).toBeCloseTo(at[i] as number, 4);
    });
  });
});

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
