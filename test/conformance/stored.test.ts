/**
 * Frozen weights in every form that they may be kept in, against float32 of the very numbers that they stand for: what programs expand
 * them to, and whole steps of every method, forward and backward.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { FORMATS, type FormatName } from "../../src/formats/tensor-file.ts";
import { Generator } from "../../src/generate/index.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Model } from "../../src/models/index.ts";
import { loadBase } from "../../src/models/load.ts";
import { openSource } from "../../src/models/source.ts";
import { type BaseForm, expanded, inForm, namedParts, readWeights, STORAGES } from "../../src/models/storages.ts";
import type { ModelWeights } from "../../src/models/stored-weights.ts";
import { adamW } from "../../src/optim/index.ts";
import { type DeviceTensors, typesOf } from "../../src/runtime/index.ts";
import { widened } from "../../src/tensor/stored.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { sharedPath } from "../shared.ts";
import { randomRows, randomTensors, tinyModel } from "./tiny-model.ts";
import { device, settingsOf, trainer } from "./trainer.ts";
import { hash } from "./training.ts";

const bitsOf = ({ data }: HostTensor) => new Uint32Array(data.buffer, data.byteOffset, data.byteLength / 4);

describe.each(STORAGES.map((row) => [row.name, row] as const))("%s", (_, { store, dtype }) => {
  const { w } = randomTensors([["w", [6, 64]]], "float32") as { w: HostTensor<"float32"> };

  test("a program expands what the host does, whole and by rows", async () => {
    const kept = store(w);
    expect(kept.codes.dtype).toBe(dtype);
    const tensors = await device.uploadAll(namedParts("w", kept));
    const whole = (await readWeights(device, tensors, ["w"])).get("w");
    const expected = widened(kept);
    expect(whole?.shape).toEqual([6, 64]);
    expect(bitsOf(whole as HostTensor)).toEqual(bitsOf(expected));
    const rows = { dtype: "int32", shape: [3] } as const;
    const program = await device.compile({ tensors: typesOf(tensors), rows }, (given) => ({
      w: expanded(given.tensors, "w", (part) => ops.gather(part, given.rows as Tensor)),
    }));
    const picked = await program.run({ tensors, rows: tensor("int32", [3], [5, 0, 5]) });
    const row = (i: number) => [...expected.data.subarray(64 * i, 64 * (i + 1))];
    expect([...picked.w.data]).toEqual([5, 0, 5].flatMap(row));
  });

  test("rounds to the nearest number that it has", () => {
    const back = widened(store(w)).data;
    // Half a step: of the last bit kept, or of a group's range in 127 or 15 parts.
    const step = { float16: 2 ** -11, uint16: 2 ** -8, int8: 1 / 254, uint8: 1 / 30 }[dtype as "int8"];
    for (let g = 0; g < w.data.length; g += 32) {
      const group = w.data.subarray(g, g + 32);
      const size = Math.max(...group.map(Math.abs)) * (dtype === "uint8" ? 2 : 1);
      const worst = Math.max(...group.map((x, i) => Math.abs(x - back[g + i]!)));
      expect(worst).toBeLessThanOrEqual(1.001 * step * size);
    }
  });
});

const blocks = sharedPath("fixtures", "gguf-blocks");

describe.skipIf(blocks === undefined)("formats of files", () => {
  const kinds = Object.keys(FORMATS).filter((name) => (FORMATS[name as FormatName] as { keep?: unknown }).keep);

  test.each(kinds)("%s: a program expands what is stored to the reference's numbers", async (name) => {
    const bytes = new Uint8Array(readFileSync(join(blocks as string, `${name}.bin`)));
    const expected = new Uint8Array(readFileSync(join(blocks as string, `${name}.f32`)));
    const { keep } = FORMATS[name as FormatName] as { keep: NonNullable<(typeof FORMATS.F16)["keep"]> };
    const kept = keep(bytes, [4, 512]);
    const tensors = await device.uploadAll(namedParts("w", kept));
    const w = (await readWeights(device, tensors, ["w"])).get("w") as HostTensor;
    const numbers = new Float32Array(expected.buffer);
    expect([...(w.data as Float32Array)].map((x) => x + 0)).toEqual([...numbers].map((x) => x + 0));
    expect(bitsOf(widened(kept))).toEqual(bitsOf(w));
  });
});

interface Below {
  readonly model: Model;
  readonly frozen: DeviceTensors;
}

/** The same model twice: in a form, and in float32 of the same numbers. */
async function twins(form?: BaseForm): Promise<{ stored: Below; wide: Below }> {
  const model = tinyModel({ hidden_size: 16, intermediate_size: 24 });
  const weights = randomTensors(model.weights, "float32");
  const float16 = STORAGES.find(({ name }) => name === "float16");
  const source: ModelWeights = {
    names: () => Object.keys(weights),
    has: (name) => name in weights,
    shapeOf: (name) => weights[name]?.shape ?? [],
    load: (name) => weights[name] as HostTensor<"float32">,
    keep: (name) => float16?.store(weights[name] as HostTensor<"float32">),
  };
  const { keep, load } = inForm(model, source, form);
  const parts = Object.keys(weights).map((name) => {
    const kept = keep(name);
    return kept === undefined
      ? { name, stored: [[name, load(name)] as [string, HostTensor]], wide: load(name) }
      : { name, stored: namedParts(name, kept), wide: widened(kept) };
  });
  return {
    stored: { model, frozen: await device.uploadAll(parts.flatMap(({ stored }) => stored)) },
    wide: { model, frozen: await device.uploadAll(parts.map(({ name, wide }) => [name, wide])) },
  };
}

const stateAfterSteps = async (name: string, on: Below) => {
  const { stepper, run } = await trainer(name, settingsOf(name), undefined, on.model, on.frozen);
  await stepper.prepare();
  const steps = await run(0, 3);
  return { steps, state: hash(await stepper.save()) };
};

test.each([undefined, "bfloat16", "int8", "int4"] as const)("steps of Booster on weights kept in %s", async (form) => {
  const { stored, wide } = await twins(form);
  expect(new Set(Object.values(stored.frozen).map(({ type }) => type)).size).toBeGreaterThan(1);
  expect(await stateAfterSteps("booster", stored)).toEqual(await stateAfterSteps("booster", wide));
});

test.each(METHODS.rows.map(({ name }) => name))("steps of %s on weights kept in int4", async (name) => {
  const { stored, wide } = await twins("int4");
  expect(await stateAfterSteps(name, stored)).toEqual(await stateAfterSteps(name, wide));
});

const fixture = sharedPath("fixtures", "llama", "model");

test.skipIf(fixture === undefined).each(["bfloat16", "int8", "int4"] as const)(
  "Booster on every linear layer of a model kept in %s: losses, gradients and factors",
  async (form) => {
    const { base } = openSource(fixture as string);
    // The fixture has no tokenizer.
    const kept = await loadBase({ ...base, tokenizer: () => undefined as never }, device, { form });
    const { model } = kept;
    const wide = await device.uploadAll([...model.weights.keys()].map((name) => [name, kept.load(name)] as const));
    const shapes = [...model.linears].flatMap(([module, [out, width]]): [string, readonly number[]][] => [
      [`${module}.lora_A.weight`, [4, width]],
      [`${module}.lora_B.weight`, [out, 4]],
    ]);
    const steps = async (frozen: DeviceTensors) => {
      const program = await TrainingProgram.compile({
        device,
        model,
        frozen,
        adapter: { scale: 0.5, tensors: new Map(Object.entries(randomTensors(shapes, "float32"))) },
        method: choose(METHODS, { name: "booster" }),
        optimizer: adamW({ weightDecay: 0.1 }),
        maxGradNorm: 1,
        chunks: 2,
      });
      const rows = { alignment: [randomRows(model, [9, 6, 12])], harmful: [randomRows(model, [7, 11], 2)] };
      const metrics = [await program.step(rows, 1e-3), await program.step(rows, 1e-3)];
      return { metrics, trained: [...(await program.trained()).values()].map(bitsOf) };
    };
    expect(Object.values(kept.weights).some(({ type }) => type !== "float32")).toBe(true);
    expect(await steps(kept.weights)).toEqual(await steps(wide));
  },
);

test("answers are the same whether weights are widened for the time of a call or expanded at each token", async () => {
  const { stored, wide } = await twins("int4");
  const answers = async ({ model, frozen }: Below, room?: number) => {
    if (room !== undefined) vi.spyOn(process, "availableMemory").mockReturnValue(room);
    const generator = await Generator.create({ device, model, weights: frozen });
    vi.restoreAllMocks();
    return generator.generate([[1, 2, 3], [4], [5, 6]], { maxNewTokens: 12 });
  };
  const expected = await answers(wide);
  expect(await answers(stored, Number.MAX_SAFE_INTEGER)).toEqual(expected);
  expect(await answers(stored, 0)).toEqual(expected);
});
