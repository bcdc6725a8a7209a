/** One batch, many ways to compute it: in parts, without its padding, by chunks. The gradient is the same. */

import { describe, expect, test } from "vitest";
import type { Tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { type Example, packBatch } from "../../src/models/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { stepContext } from "../../src/train/objective.ts";
import {
  evaluate,
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

const device = new Device({ threads: 1 });
const model = tinyModel();
const names = [...loraShapes(model).keys()];

interface How {
  readonly method?: "sft" | "booster";
  readonly chunks?: number;
  readonly dtype?: "float32" | "float64";
  /** Compute the gradient of every weight, not that of LoRA factors alone. */
  readonly full?: boolean;
  readonly through?: "identity" | "exact";
  readonly recompute?: boolean;
}

/** Loss, then gradient, of a batch that comes in these parts. */
async function gradientOf(
  parts: readonly (readonly Example[])[],
  { method = "sft", chunks = 2, dtype = "float32", full = false, through, recompute = false }: How = {},
): Promise<number[]> {
  const feeds = {
    ...randomTensors(model.weights, dtype),
    ...randomTensors(loraShapes(model), dtype, 2),
    ...streamFeeds({ alignment: parts, harmful: parts.toReversed() }, chunks),
  };
  const spec = streamSpec(["alignment", "harmful"], chunks, parts.length);
  const trained = full ? [...model.weights.keys(), ...names] : names;
  const build = (inputs: Tree): Tree => {
    const base = pick(inputs, model.weights.keys());
    const { gradient, metrics } = choose(METHODS, {
      name: method,
      ...(through === undefined ? {} : { through }),
    }).step({
      ...stepContext({ model, base, scale: 0.5, streams: streamsOf(inputs), loss: { chunks, recompute } }),
      weights: pick(inputs, trained),
    });
    return {
      loss: metrics.loss,
      ...Object.fromEntries(Object.entries(gradient).map(([name, g]) => [`d ${name}`, g])),
    };
  };
  return numbers(await evaluate(device, feeds, build, spec));
}

/** The rows in order, in parts of at most `size`; empty parts at the end where `count` asks for more. */
const split = (rows: readonly Example[], size: number, count: number): Example[][] =>
  Array.from({ length: count }, (_, i) => rows.slice(i * size, (i + 1) * size));

const eight = randomRows(model, [5, 9, 2, 7, 3, 12, 4, 6]);

describe("micro-batches", () => {
  test.each([
    ["sft", [4, 2, 1]],
    ["booster", [4, 2]],
  ] as const)("8x1 = 4x2 = 2x4 = 1x8: %s", async (method, sizes) => {
    const whole = await gradientOf([eight], { method });
    for (const size of sizes) {
      const parts = split(eight, size, eight.length / size);
      expect(relativeError(await gradientOf(parts, { method }), whole), `${parts.length} parts`).toBeLessThan(1e-6);
    }
  });

  test.each([
    ["7 rows in 4 parts, the last one short", eight.slice(0, 7), 2],
    ["2 rows in 4 parts, two of them empty", eight.slice(0, 2), 1],
  ])("%s", async (_, rows, size) => {
    const found = await gradientOf(split(rows, size, 4), { method: "booster" });
    expect(relativeError(found, await gradientOf([rows], { method: "booster" }))).toBeLessThan(1e-6);
  });

  test("a part without a label adds nothing", async () => {
    const silent = { inputIds: [1, 2, 3], labels: [-100, -100, -100] };
    const found = await gradientOf([eight, [silent]]);
    expect(relativeError(found, await gradientOf([eight]))).toBeLessThan(1e-6);
  });
});

describe("padding", () => {
  test("a batch is the mean of its rows, each alone, weighted by its labelled tokens", async () => {
    const how = { dtype: "float64", full: true } as const;
    const labelled = eight.map(
      ({ labels }) =>
        Array.from(labels)
          .slice(1)
          .filter((label) => label !== -100).length,
    );
    const total = labelled.reduce((a, b) => a + b);
    const alone: number[][] = [];
    for (const row of eight) alone.push(await gradientOf([[row]], how));
    const expected = (alone[0] as number[]).map((_, i) =>
      alone.reduce((sum, values, r) => sum + ((values[i] as number) * (labelled[r] as number)) / total, 0),
    );
    // The weights 1 / labelled tokens are float32.
    expect(relativeError(await gradientOf([eight], how), expected)).toBeLessThan(1e-7);
  });

  test("the order of the rows does not matter", async () => {
    const found = await gradientOf([eight.toReversed()]);
    expect(relativeError(found, await gradientOf([eight]))).toBeLessThan(1e-6);
  });

  test("a batch without a label is refused", () => {
    const silent = { inputIds: [1, 2], labels: [1, -100] };
    expect(() => packBatch([silent], { chunks: 1 })).toThrow(expect.objectContaining({ code: "NO_TRAINED_TOKENS" }));
  });
});

describe("chunks of the loss", () => {
  test.each([2, 3, 5, 50])("%i chunks are one", async (chunks) => {
    const found = await gradientOf([eight], { chunks, full: true });
    expect(relativeError(found, await gradientOf([eight], { chunks: 1, full: true }))).toBeLessThan(1e-6);
  });
});

describe("computing again what is cheap, instead of keeping it", () => {
  test.each([
    { method: "sft", full: true },
    { method: "booster", through: "identity" },
    { method: "booster", through: "exact" },
  ] as const)("changes nothing: %j", async (how) => {
    const found = await gradientOf([eight], { ...how, dtype: "float64", recompute: true });
    const kept = await gradientOf([eight], { ...how, dtype: "float64" });
    expect(relativeError(found, kept)).toBeLessThan(1e-12);
  });
});

test("float32 and float64 agree", async () => {
  const [single, double] = [await gradientOf([eight]), await gradientOf([eight], { dtype: "float64" })];
  expect(relativeError(single, double)).toBeLessThan(1e-5);
});
