/** LDIFS: its distances against plain loops, their slopes, their limits. */
import { describe, expect, test } from "vitest";
import { type Tensor, type TensorType, tree } from "../../src/autodiff/index.ts";
import { packPadded, paddedStates, paddedTypes, weightsOf } from "../../src/models/index.ts";
import type { HostTensor } from "../../src/tensor/tensor.ts";
import { copyName, device, gradients, metric, model, names, problem, rows, run, SCALE } from "./finetuning.ts";
import { asTensors, centralDifferences, evaluate, numbers, relativeError } from "./tiny-model.ts";
import { compileTraining } from "./training.ts";

const VARIANTS = [
  ["paper", { variant: "paper", alpha: 3 }],
  ["paper-code", { variant: "paper-code", alpha: 3 }],
  ["disl", { variant: "disl", rho: 0.02, threshold: 1e6, innerClip: 1e6 }],
] as const;

test.each(VARIANTS)("%s: the whole gradient against central differences", async (_, options) => {
  const p = problem("ldifs", options);
  const slopes = await centralDifferences(await metric(p, "loss"), p.feeds, names);
  expect(relativeError(numbers(await run(p), gradients), slopes)).toBeLessThan(1e-7);
});

test.each(VARIANTS)("%s: at the start the penalty is 0 and the gradient is that of the loss", async (_, options) => {
  const at = (weight: object) => run(problem("ldifs", { ...options, ...weight }, { dtype: "float32", atStart: true }));
  const [found, weaker, plain] = [await at({}), await at({ alpha: 0.1, rho: 1e-3 }), await at({ alpha: 0, rho: 0 })];
  expect(numbers(found, ["penalty"])).toEqual([0]);
  expect(numbers(found, gradients)).toEqual(numbers(weaker, gradients));
  expect(relativeError(numbers(found, gradients), numbers(plain, gradients))).toBeLessThan(1e-5);
});

/** What every module puts out at `[row][token]`, at the weights and at the reference. */
async function outputs() {
  const p = problem("ldifs", {});
  const feeds = { ...p.feeds, ...asTensors<HostTensor>({ padded: packPadded(rows.user, 1) }) };
  const at = (prefix: (name: string) => string) =>
    evaluate(
      device,
      feeds,
      (inputs) => {
        const tensors = Object.fromEntries(names.map((name) => [name, inputs[prefix(name)] as Tensor]));
        const found: Record<string, Tensor> = {};
        paddedStates(model, weightsOf(model, inputs, { scale: SCALE, tensors }), inputs.padded as never, {
          tap(place, layer, x) {
            found[`${place} ${layer}`] = x;
            return x;
          },
        });
        return tree.mapTree(found, (x) => x);
      },
      asTensors<TensorType>({ padded: paddedTypes("b") }),
    );
  const [now, before] = [await at((name) => name), await at((name) => copyName("reference", name))];
  const time = Math.max(...rows.user.map(({ inputIds }) => inputIds.length));
  const grid = (of: typeof now, module: string): number[][][] => {
    const flat = numbers(of, [module]);
    return rows.user.map((_, row) =>
      Array.from({ length: time }, (_, t) => {
        const start = (row * time + t) * model.hiddenSize;
        return flat.slice(start, start + model.hiddenSize);
      }),
    );
  };
  return (module: string) => [grid(now, module), grid(before, module)] as const;
}

describe("the distance by plain loops", () => {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const mean = (values: readonly number[]) => sum(values) / values.length;

  test("disl: every position, padding too; layers beyond the threshold are let go", async () => {
    const at = await outputs();
    const distances = [0, 1].map((layer) => {
      const [a, b] = at(`feedForward ${layer}`);
      return sum(a.flat(2).map((x, i) => (x - (b.flat(2)[i] as number)) ** 2));
    });
    const rho = 0.01;
    const parts = distances.map((d) => (rho / 2) * d);
    const penalty = async (threshold: number) =>
      numbers(await run(problem("ldifs", { variant: "disl", rho, threshold })), ["penalty"]);
    expect(relativeError(await penalty(Math.max(...parts) * 1.01), [sum(parts)])).toBeLessThan(1e-10);
    const between = mean(parts);
    expect(relativeError(await penalty(between), [Math.min(...parts)])).toBeLessThan(1e-10);
    expect(await penalty(Math.min(...parts) / 2)).toEqual([0]);
  });

  test.each(["paper", "paper-code"])("%s: normed features of the embedding and of both blocks", async (variant) => {
    const at = await outputs();
    const depths = ["embedding -1", "block 0", "block 1"].map((module) => {
      const [now, before] = at(module);
      const normed = (row: readonly number[][]) =>
        variant === "paper"
          ? row.map((token) => token.map((x) => x / Math.sqrt(sum(token.map((y) => y * y)))))
          : row.map((token) => token.map((x, c) => x / Math.sqrt(sum(row.map((other) => (other[c] as number) ** 2)))));
      return mean(
        rows.user.map(({ inputIds }, row) => {
          const cut = (grid: readonly number[][][]) => normed((grid[row] ?? []).slice(0, inputIds.length)).flat();
          const [a, b] = [cut(now), cut(before)];
          return mean(a.map((x, i) => (x - (b[i] as number)) ** 2));
        }),
      );
    });
    const found = numbers(await run(problem("ldifs", { variant, alpha: 3 })), ["penalty"]);
    expect(relativeError(found, [3 * mean(depths)])).toBeLessThan(1e-9);
  });
});

test("disl cuts the gradient to a norm of its own", async () => {
  const found = numbers(await run(problem("ldifs", { variant: "disl", innerClip: 0.01 })), gradients);
  expect(Math.sqrt(found.reduce((s, g) => s + g * g, 0))).toBeCloseTo(0.01, 5);
});

test.each(VARIANTS)("%s: the reference never changes", async (_, options) => {
  const { program } = await compileTraining(device, model, { method: "ldifs", options });
  const before = await program.save();
  for (let i = 0; i < 3; i++) await program.step({ user: [rows.user] }, 1e-2);
  const after = await program.save();
  expect(after.get("copy reference")).toEqual(before.get("weights"));
  expect(after.get("weights")).not.toEqual(before.get("weights"));
});

test.each(VARIANTS)(
  "%s: the loss from the pass over every position is that of the labelled tokens",
  async (_, options) => {
    const [found, plain] = [await run(problem("ldifs", options)), await run(problem("ldifs", { alpha: 0 }))];
    expect(relativeError(numbers(found, ["userLoss"]), numbers(plain, ["loss"]))).toBeLessThan(1e-12);
  },
);

test("disl: without a threshold a strong pull keeps the features where they were", async () => {
  const penaltyAfter = async (rho: number) => {
    const options = { variant: "disl", rho, threshold: 1e30, innerClip: 1e30 };
    const { program } = await compileTraining(device, model, { method: "ldifs", options });
    let penalty = 0;
    for (let i = 0; i < 40; i++) penalty = (await program.step({ user: [rows.user] }, 1e-2)).penalty as number;
    return penalty / rho;
  };
  expect(await penaltyAfter(100)).toBeLessThan(0.05 * (await penaltyAfter(1e-6)));
});
