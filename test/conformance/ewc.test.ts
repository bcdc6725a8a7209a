/** EWC and its Fisher information against their definitions. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor, type TensorType, valueAndGrad } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { fisherInformation } from "../../src/methods/finetuning/fisher.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { batchOf, batchTypes, type Example, packBatch, tokenLoss, weightsOf } from "../../src/models/index.ts";
import { type HostTensor, zeros } from "../../src/tensor/tensor.ts";
import { copyName, device, gradients, metric, model, names, onToy, problem, rows, run, SCALE } from "./finetuning.ts";
import {
  asTensors,
  centralDifferences,
  evaluate,
  loraShapes,
  numbers,
  pick,
  randomTensors,
  relativeError,
} from "./tiny-model.ts";

const weights = randomTensors(model.weights, "float32");
const lora = randomTensors(loraShapes(model), "float32", 2);

async function measure(trainable: Readonly<Record<string, HostTensor<"float32">>>, batchSize: number) {
  const frozen = await device.uploadAll(Object.entries(weights));
  const given = {
    device,
    model,
    frozen,
    adapter: { scale: SCALE, tensors: new Map(Object.entries(trainable)) },
    rows,
  };
  return Object.fromEntries(await fisherInformation({ ...given, watch: () => undefined }, "alignment", batchSize));
}

/** Gradient of the mean loss of a batch, by itself. */
async function gradientOn(examples: readonly Example[]): Promise<number[]> {
  const found = await evaluate(
    device,
    { ...weights, ...lora, ...asTensors<HostTensor>({ batch: packBatch(examples, { chunks: 1 }) }) },
    (inputs) => {
      const loss = valueAndGrad((w) =>
        tokenLoss(model, weightsOf(model, inputs, { scale: SCALE, tensors: w }), batchOf(inputs.batch as never), {
          chunks: 1,
        }),
      );
      return Object.fromEntries(Object.entries(loss(pick(inputs, names)).grad).map(([name, g]) => [`d ${name}`, g]));
    },
    asTensors<TensorType>({ batch: batchTypes("b", 1) }),
  );
  return numbers(found, gradients);
}

describe("Fisher information", () => {
  test("is the sum of squared batch gradients, rows in order, the last batch smaller", async () => {
    const parts = await Promise.all([rows.alignment.slice(0, 3), rows.alignment.slice(3)].map(gradientOn));
    const expected = parts[0]?.map((g, i) => g ** 2 + (parts[1]?.[i] as number) ** 2) ?? [];
    const found = numbers(await measure(lora, 3), names);
    expect(relativeError(found, expected)).toBeLessThan(1e-6);
    expect(Math.min(...found)).toBeGreaterThanOrEqual(0);
  });

  test("is 0 for the A of a fresh LoRA, whose B is 0", async () => {
    const fresh = Object.fromEntries(
      Object.entries(lora).map(([name, x]) => [name, name.includes("lora_B") ? zeros("float32", x.shape) : x]),
    );
    const found = await measure(fresh, 2);
    const largest = (half: string) =>
      Math.max(
        ...numbers(
          found,
          names.filter((name) => name.includes(half)),
        ),
      );
    expect(largest("lora_A")).toBe(0);
    expect(largest("lora_B")).toBeGreaterThan(0);
  });
});

describe("the penalty", () => {
  const p = problem("ewc", { lambda: 30 });
  const of = (copy: string) =>
    numbers(
      p.feeds,
      names.map((name) => copyName(copy, name)),
    );

  test("adds 2 lambda F (w - w0), and lambda sum F (w - w0)^2 to the loss", async () => {
    const [found, plain] = [await run(p), await run(problem("ewc", { lambda: 0 }))];
    const [w, anchor, fisher] = [numbers(p.feeds, names), of("anchor"), of("fisher")];
    const change = w.map((x, i) => x - (anchor[i] as number));
    const expected = change.map((x, i) => 60 * (fisher[i] as number) * x);
    const difference = numbers(found, gradients).map((g, i) => g - (numbers(plain, gradients)[i] as number));
    expect(relativeError(difference, expected)).toBeLessThan(1e-12);
    const penalty = change.reduce((sum, x, i) => sum + 30 * (fisher[i] as number) * x * x, 0);
    expect(relativeError(numbers(found, ["penalty"]), [penalty])).toBeLessThan(1e-12);
  });

  test("the whole gradient against central differences", async () => {
    const slopes = await centralDifferences(await metric(p, "loss"), p.feeds, names);
    expect(relativeError(numbers(await run(p), gradients), slopes)).toBeLessThan(1e-7);
  });

  test.each([
    [10, 1],
    [1e9, 1e-8],
  ])(
    "on a quadratic its minimiser is (H + 2 lambda F)^-1 (H c + 2 lambda F w0), lambda %d",
    async (lambda, distance) => {
      const [h, c, F, w0] = [
        [2, 5],
        [1, -3],
        [0.5, 0],
        [4, 2],
      ];
      const best = h.map((x, i) => {
        const pull = 2 * lambda * (F[i] as number);
        return (x * (c[i] as number) + pull * (w0[i] as number)) / (x + pull);
      });
      const column = (values: readonly number[]) => values.map((x) => ops.constant(x, "float64"));
      const loss = (w: Tensor) =>
        column(h)
          .map((x, i) => {
            const off = ops.sub(ops.slice(w, 0, i, i + 1), c[i] as number);
            return ops.mul(ops.sum(ops.mul(off, off)), ops.mul(x, 0.5));
          })
          .reduce((a, b) => ops.add(a, b));
      const { gradient } = await onToy(choose(METHODS, { name: "ewc", lambda }), best, loss, { anchor: w0, fisher: F });
      // Rounding of w moves the gradient by its curvature.
      for (const g of gradient) expect(Math.abs(g)).toBeLessThan(1e-15 * (1e3 + lambda));
      // The stronger, the nearer to the anchor; where F is 0 it does not count.
      expect(Math.abs((best[0] as number) - (w0[0] as number))).toBeLessThan(distance);
      expect(best[1]).toBe(c[1]);
    },
  );
});
