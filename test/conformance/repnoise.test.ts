/** Representation noising against its definition: which tokens count, its terms, its limits, what it does to a toy model. */

import { describe, expect, test } from "vitest";
import { ops, tree } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import {
  answerTokens,
  differingTokens,
  placeAll,
  placeAnswers,
  type Tokens,
  tokenInputs,
} from "../../src/methods/alignment/repnoise-tokens.ts";
import type { RunFacts } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { type Example, IGNORE, packPadded, paddedTypes } from "../../src/models/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import { centralDifferences, type HostTensors, numbers, randomRows, relativeError, tinyModel } from "./tiny-model.ts";
import { compileTraining } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel();
const rows = { alignment: randomRows(model, [5, 9, 3, 7], 1), harmful: randomRows(model, [6, 2, 8], 2) };

const facts: RunFacts = {
  model,
  rows: {},
  steps: 10,
  seed: 3,
  stepsPerEpoch: 5,
  batch: () => Int32Array.of(),
};
const inputsOf = (options: object, step = 0, given: Record<string, Example[]> = rows): HostTensors =>
  choose(METHODS, { name: "repnoise", ...options })
    .schedule.calls(step, facts)[0]
    ?.inputs?.(given) ?? {};

const gradient = async (options: object, given: { padId?: number; step?: number } = {}) => {
  const inputs = inputsOf(options, given.step);
  const { run, names } = await methodProgram(device, model, "repnoise", options, { rows, inputs, ...given });
  return gradientOf(await run(), names);
};

/** What the two ways of choosing tokens give for two batches, as numbers. */
async function tokensOf(
  mode: "answers" | "differing",
  own: readonly Example[],
  other: readonly Example[],
  padId: number,
): Promise<Record<keyof Tokens, number[]>> {
  const places = mode === "answers" ? placeAnswers("own", own) : placeAll("own", own, other);
  const types = { places: tokenInputs("own"), own: paddedTypes("own"), other: paddedTypes("other") };
  const program = await device.compile(types, ({ places: at, own: A, other: B }) => {
    const tokens =
      mode === "answers" ? answerTokens("own", at, A, "float64") : differingTokens("own", at, A, B, "float64");
    return tree.mapTree({ ...tokens }, (x) => ops.mul(x, 1));
  });
  const out = await program.run({ places, own: packPadded(own, padId), other: packPadded(other, padId) });
  const at = (key: string) => Array.from(out[key]?.data ?? [], Number);
  return {
    cells: at("cells"),
    mask: at("mask"),
    targets: at("targets"),
    labels: at("labels"),
    shares: at("shares"),
    factor: at("factor"),
  };
}

const example = (inputIds: number[], prompt: number): Example => ({
  inputIds,
  labels: inputIds.map((id, t) => (t < prompt ? IGNORE : id)),
});

describe("tokens", () => {
  // One prompt, two answers; then a pair without anything in common, the second shorter.
  const harmful = [example([1, 2, 3, 4, 5, 6], 3), example([7, 8, 9], 1)];
  const refusals = [example([1, 2, 3, 7, 5], 3), example([3, 4], 1)];

  test("answers: the labelled ones of each row, prompts and padding not", async () => {
    const found = await tokensOf("answers", harmful, refusals, 0);
    // Columns 1 and 2 are the second row's answer, 3 to 5 the first one's.
    expect(found.cells).toEqual([1, 2, 3, 4, 5, 7, 8, 9, 10, 11]);
    expect(found.mask).toEqual([0, 0, 1, 1, 1, 1, 1, 0, 0, 0]);
    expect(found.targets).toEqual([2, 3, 4, 6, 7]);
    expect(found.labels).toEqual([4, 5, 6, 8, 9]);
    expect(found.shares).toEqual([0.2, 0.2, 0.2, 0.2, 0.2]);
  });

  test.each([0, 10])("differing: as the authors' code chooses them, cell by cell, with padding %i", async (padId) => {
    for (const [own, other] of [
      [harmful, refusals],
      [refusals, harmful],
      [rows.harmful, rows.alignment],
      [rows.alignment, rows.harmful],
    ] as const) {
      const padded = (examples: readonly Example[]) => {
        const time = Math.max(...examples.map(({ inputIds }) => inputIds.length));
        return examples.map(({ inputIds }) => Array.from({ length: time }, (_, t) => inputIds[t] ?? padId));
      };
      const [A, B] = [padded(own), padded(other)];
      const mask = A.map((row, i) => row.map((id, t) => Number(id !== (B[i]?.[t] ?? 0))));
      const predicted = A.flatMap((row, i) =>
        row.slice(1).map((id, t) => {
          const label = id * (mask[i]?.[t + 1] ?? 0);
          return { label, counted: label !== 0, factor: mask[i]?.[t] };
        }),
      );
      const count = predicted.filter(({ counted }) => counted).length;
      const found = await tokensOf("differing", own, other, padId);
      expect(found.mask).toEqual(mask.flat());
      expect(found.factor).toEqual(predicted.map(({ factor }) => factor));
      expect(found.shares).toEqual(predicted.map(({ counted }) => (counted ? 1 / count : 0)));
      for (const [i, { label, counted }] of predicted.entries()) if (counted) expect(found.labels[i]).toBe(label);
    }
  });

  test("differing: nothing counts, and nothing is divided by 0, where both batches are the same", async () => {
    const found = await tokensOf("differing", harmful, harmful, 0);
    expect(new Set([...found.mask, ...found.shares])).toEqual(new Set([0]));
  });
});

describe("the loss", () => {
  test("with alpha and beta 0 is SFT on refusals, bit for bit (paper)", async () => {
    const { run, names } = await methodProgram(device, model, "sft", {}, { rows });
    expect(await gradient({ alpha: 0, beta: 0 })).toEqual(gradientOf(await run(), names));
  });

  test.each(["paper", "reference"])("is made of its parts (%s)", async (mode) => {
    const [alpha, beta] = [0.7, 0.3];
    const options = { alpha, beta, mode };
    const given = { rows, inputs: inputsOf(options), dtype: "float64" as const };
    const outputs = await (await methodProgram(device, model, "repnoise", options, given)).run();
    const at = (name: string) => outputOf(outputs, name)[0] as number;
    expect(at("loss")).toBeCloseTo(at("refusalLoss") + beta * at("noiseDistance") - alpha * Math.log(at("ascent")), 10);
    expect(at("noiseDistance")).toBeGreaterThan(0);
    if (mode === "reference") expect(at("ascent")).toBeGreaterThan(1);
  });

  test.each(["paper", "reference"])("without noise has its gradient, in float64 (%s)", async (mode) => {
    const options = { alpha: 0.7, beta: 0, mode };
    const given = { rows, inputs: inputsOf(options), dtype: "float64" as const };
    const { run, feeds, names } = await methodProgram(device, model, "repnoise", options, given);
    const value = async (moved: HostTensors) => outputOf(await run(moved), "loss")[0] as number;
    const found = gradientOf(await run(), names);
    expect(relativeError(found, await centralDifferences(value, feeds, names))).toBeLessThan(1e-6);
  });

  test("mode paper does not depend on the token at padding, mode reference does", async () => {
    const changed = async (mode: string) => {
      const options = { alpha: 0.7, beta: 0.3, mode };
      return relativeError(await gradient(options, { padId: 9 }), await gradient(options, { padId: 0 }));
    };
    expect(await changed("paper")).toBeLessThan(1e-6);
    expect(await changed("reference")).toBeGreaterThan(1e-2);
  });

  test("layers rounded to bfloat16 move it by about the last of 8 bits, and do move it", async () => {
    const options = { alpha: 0.7, beta: 0, mode: "reference" };
    const exact = await gradient(options);
    const off = relativeError(await gradient({ ...options, layerPrecision: "bfloat16" }), exact);
    expect(off).toBeGreaterThan(1e-5);
    expect(off).toBeLessThan(2 ** -7);
  });
});

describe("noise", () => {
  test("is new at each step, and the same whenever that step is taken", () => {
    const noise = (step: number) => numbers(inputsOf({}, step), ["noise"]);
    expect(noise(4)).toEqual(noise(4));
    expect(noise(4)).not.toEqual(noise(5));
  });

  test("matters at the answers' tokens alone", async () => {
    const options = { alpha: 0, beta: 5 };
    const inputs = inputsOf(options);
    const { run, names } = await methodProgram(device, model, "repnoise", options, { rows, inputs });
    const { shape, data } = inputs.noise as HostTensor;
    const { mask } = await tokensOf("answers", rows.harmful, rows.harmful, 0);
    const width = shape[3] as number;
    const changed = (chosen: number) => {
      const isMoved = (i: number) => mask[Math.floor(i / width) % mask.length] === chosen;
      const noise = Array.from(data, Number).map((x, i) => x + Number(isMoved(i)));
      return run({ noise: tensor("float32", shape, noise) });
    };
    const before = gradientOf(await run(), names);
    expect(gradientOf(await changed(0), names)).toEqual(before);
    expect(relativeError(gradientOf(await changed(1), names), before)).toBeGreaterThan(1e-3);
  });
});

test("training drives up the harmful loss over the depths, and refusals are learned", async () => {
  const options = { alpha: 2, beta: 0.01 };
  const { program } = await compileTraining(device, model, { method: "repnoise", options });
  const found: Readonly<Record<string, number>>[] = [];
  for (let step = 0; step < 80; step++) {
    const batches = { alignment: [rows.alignment], harmful: [rows.harmful] };
    found.push(await program.run({ batches, learningRate: 1e-2, inputs: inputsOf(options, step) }));
  }
  const change = (name: string) => (found.at(-1)?.[name] as number) - (found[0]?.[name] as number);
  expect(change("ascent")).toBeGreaterThan(0.1);
  expect(change("harmfulLoss")).toBeGreaterThan(0.1);
  expect(change("refusalLoss")).toBeLessThan(0);
});
