/** Surgery, SafeGrad and SDD: what they are made of, against closed forms. */

import { describe, expect, test } from "vitest";
import type { Tensor, Tree } from "../../src/autodiff/index.ts";
import { answeredBy, sdd } from "../../src/methods/alignment/sdd.ts";
import { withoutConflict } from "../../src/methods/finetuning/safe-grad.ts";
import { sinkShares } from "../../src/methods/finetuning/surgery.ts";
import { type Example, IGNORE } from "../../src/models/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { tensor, zeros } from "../../src/tensor/tensor.ts";
import { stepContext } from "../../src/train/objective.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import {
  evaluate,
  type HostTensors,
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
import { device, trainer } from "./trainer.ts";

const model = tinyModel();

describe("Surgery", () => {
  const [long, short] = randomRows(model, [7, 4], 3) as [Example, Example];

  /** The shares of the heads of each layer, with the queries' weights zero or not. */
  async function shares(harmful: readonly Example[], uniform: boolean): Promise<number[][]> {
    const weights: HostTensors = Object.fromEntries(
      Object.entries(randomTensors(model.weights, "float64")).map(([name, x]) => [
        name,
        uniform && name.includes("q_proj") ? zeros("float64", x.shape) : x,
      ]),
    );
    const feeds = { ...weights, ...streamFeeds({ harmful: [harmful] }, 2, 1) };
    const found = await evaluate(
      device,
      feeds,
      (inputs) => {
        const base = pick(inputs, model.weights.keys());
        const context = stepContext({ model, base, streams: streamsOf(inputs), loss: { chunks: 2 } });
        return Object.fromEntries(sinkShares(context, {}, "harmful").map((x, layer) => [`${layer}`, x]));
      },
      streamSpec(["harmful"], 2),
    );
    return Array.from({ length: model.layers }, (_, layer) => numbers(found, [`${layer}`]));
  }

  test("where queries are zero attention is even, and the share of the first token the mean of 1 / (t + 1)", async () => {
    const places = [7, 4].flatMap((length) => Array.from({ length: length - 1 }, (_, t) => 1 / (t + 2)));
    const expected = places.reduce((a, b) => a + b) / places.length;
    for (const layer of await shares([long, short], true)) {
      expect(layer).toHaveLength(model.heads);
      for (const share of layer) expect(share).toBeCloseTo(expected, 9);
    }
  });

  test("of two rows it is the mean over the queries of both, and padding is none", async () => {
    const [both, first, second] = [
      await shares([long, short], false),
      await shares([long], false),
      await shares([short], false),
    ];
    both.forEach((layer, l) => {
      layer.forEach((share, head) => {
        expect(share).toBeCloseTo((6 * (first[l]?.[head] as number) + 3 * (second[l]?.[head] as number)) / 9, 9);
      });
    });
    expect(first.flat().every((share) => share > 0 && share < 1)).toBe(true);
  });

  test("its gradient is that of the loss and alpha times that of the divergence", async () => {
    const rows = {
      user: randomRows(model, [5, 6], 1),
      harmful: randomRows(model, [7], 2),
      alignment: randomRows(model, [6], 4),
    };
    const at = async (alpha: number) => {
      const program = await methodProgram(device, model, "surgery", { alpha }, { rows, dtype: "float64" });
      const outputs = await program.run();
      return { gradient: gradientOf(outputs, program.names), divergence: outputOf(outputs, "sinkDivergence")[0] ?? 0 };
    };
    const [none, one, ten] = [await at(0), await at(1), await at(10)];
    expect(one.divergence).toBeGreaterThan(0);
    const expected = none.gradient.map((g, i) => g + 10 * ((one.gradient[i] as number) - g));
    expect(relativeError(ten.gradient, expected)).toBeLessThan(1e-9);
  });
});

describe("SafeGrad", () => {
  const random = new RandomStream(3, "gradients");
  const vector = (from: number) => Array.from({ length: 6 }, (_, i) => random.normal(10 * from + i));
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
  async function freed(u: readonly number[], s: readonly number[]): Promise<number[]> {
    const feeds = { u: tensor("float64", [6], u), s: tensor("float64", [6], s) };
    const found = await evaluate(device, feeds, ({ u: user, s: safe }) => {
      const tree = (x?: Tensor): Tree => ({ w: x as Tensor });
      return { freed: withoutConflict(tree(user), tree(safe)).w as Tensor };
    });
    return numbers(found, ["freed"]);
  }

  test("a gradient in conflict loses its part along the other, another one stays", async () => {
    for (let seed = 0; seed < 6; seed++) {
      const [u, s] = [vector(2 * seed), vector(2 * seed + 1)];
      const found = await freed(u, s);
      if (dot(u, s) >= 0) expect(found).toEqual(u);
      else {
        expect(dot(found, s)).toBeCloseTo(0, 9);
        const expected = u.map((x, i) => x - (dot(u, s) / dot(s, s)) * (s[i] as number));
        expect(relativeError(found, expected)).toBeLessThan(1e-12);
      }
    }
    expect(await freed(vector(1), Array(6).fill(0))).toEqual(vector(1));
  });

  test("at the start the divergence is zero, and so is its gradient: the first step is SFT's", async () => {
    const step = async (name: string, settings: object) => {
      const { stepper, run } = await trainer(name, settings);
      await stepper.prepare();
      const [result] = await run(0, 1);
      return {
        metrics: result?.metrics,
        weights: [...(await stepper.adapter()).values()].flatMap(({ data }) => [...data]),
      };
    };
    const [own, sft] = [await step("safe-grad", {}), await step("sft", {})];
    expect(own.metrics?.safetyLoss).toBeCloseTo(0, 6);
    // What is left of the divergence's gradient is rounding, along which a part of the user's may be taken out.
    expect(relativeError(own.weights, sft.weights)).toBeLessThan(5e-2);
  });
});

describe("SDD", () => {
  const row = (prompt: readonly number[], answer: readonly number[]) => ({
    inputIds: [...prompt, ...answer],
    labels: [...prompt.map(() => IGNORE), ...answer],
  });

  test("a prompt gets another row's answer, which alone is learned", () => {
    expect(answeredBy(row([1, 2], [3, 4]), row([5], [6, 7, 8]))).toEqual(row([1, 2], [6, 7, 8]));
  });

  test.each([false, true])("answers are drawn once, or anew in each step (%s)", (redrawn) => {
    const harmful = Array.from({ length: 8 }, (_, i) => row([i], [100 + i]));
    const general = Array.from({ length: 50 }, (_, i) => row([200 + i], [300 + i]));
    const { readers } = sdd.create({ redrawn }).schedule;
    const read = readers({ harmful, general }, 5).harmful;
    const at = (step: number) => harmful.map((_, i) => read?.(i, step).inputIds[1]);
    expect(at(0).every((id) => Number(id) >= 300)).toBe(true);
    expect(new Set(at(0)).size).toBeGreaterThan(4);
    if (redrawn) expect(at(1)).not.toEqual(at(0));
    else expect(at(1)).toEqual(at(0));
  });
});
