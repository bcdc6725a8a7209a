/** Methods that look at the model before they train it: what they leave alone, and where they begin. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import { METHODS } from "../../src/methods/registry.ts";
import type { Example } from "../../src/models/index.ts";
import { mergeLora } from "../../src/models/merge.ts";
import { gram, observer } from "../../src/models/observe.ts";
import { adamW } from "../../src/optim/index.ts";
import { Device } from "../../src/runtime/index.ts";
import { symmetricEigen } from "../../src/tensor/eigen.ts";
import { type HostTensor, zeros } from "../../src/tensor/tensor.ts";
import { TrainingProgram } from "../../src/train/training-program.ts";
import { randomRows, randomTensors, tinyModel } from "./tiny-model.ts";

type Weights = ReadonlyMap<string, HostTensor<"float32">>;

const device = new Device({ threads: 1 });
const model = tinyModel();
const base = randomTensors(model.weights, "float32");
const rows: Record<string, Example[]> = Object.fromEntries(
  ["user", "alignment", "harmful", "general"].map((stream, i) => [stream, randomRows(model, [5, 9, 3, 7, 6], i + 1)]),
);
const all: Weights = new Map(Object.entries(base));
const SCALE = 0.5;

/** Fresh factors of rank 2 on the named linear layers. */
const fresh = (pattern: RegExp): Weights =>
  new Map(
    [...model.linears].flatMap(([module, [out, width]]): [string, HostTensor<"float32">][] =>
      pattern.test(module)
        ? [
            [`${module}.lora_A.weight`, randomTensors([["a", [2, width]]], "float32", 3).a as HostTensor<"float32">],
            [`${module}.lora_B.weight`, zeros("float32", [out, 2])],
          ]
        : [],
    ),
  );

async function trainer(name: string, options: object, trainable: Weights) {
  const program = await TrainingProgram.compile({
    device,
    model,
    frozen: await device.uploadAll(Object.entries(base)),
    adapter: { scale: trainable === all ? 1 : SCALE, tensors: trainable },
    method: choose(METHODS, { name, ...options }),
    optimizer: adamW({ weightDecay: 0.1 }),
    maxGradNorm: 1,
    chunks: 1,
    rows: Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, list.length])),
  });
  await program.prepare(rows, 1);
  const batches = Object.fromEntries(Object.entries(rows).map(([stream, list]) => [stream, [list]]));
  return { program, step: () => program.step(batches, 1e-2), losses: () => program.step(batches, 0) };
}

async function trained(name: string, options: object, trainable: Weights): Promise<Weights> {
  const { program, step } = await trainer(name, options, trainable);
  for (let i = 0; i < 3; i++) expect((await step()).applied).toBe(1);
  return program.trained();
}

const isSame = (a: Weights, b: Weights, name: string): boolean => `${a.get(name)?.data}` === `${b.get(name)?.data}`;
const moved = (before: Weights, after: Weights): string[] =>
  [...before.keys()].filter((name) => !isSame(before, after, name));

describe("safety-layers", () => {
  test("frozen layers keep their bits, everything else moves", async () => {
    const after = await trained("safety-layers", { layers: [1, 1] }, all);
    expect(moved(all, after)).toEqual([...all.keys()].filter((name) => !name.startsWith("model.layers.1.")));
  });

  test("without freezeNorms the norms of frozen layers go on", async () => {
    const after = await trained("safety-layers", { layers: [0, 1], freezeNorms: false }, all);
    expect(moved(all, after)).toEqual([...all.keys()].filter((name) => !/self_attn|mlp/.test(name)));
  });

  test("all layers: embedding, last norm and head are left", async () => {
    const after = await trained("safety-layers", { layers: [0, 1] }, all);
    expect(moved(all, after)).toEqual([...all.keys()].filter((name) => !name.includes("layers")));
  });

  test("LoRA: a frozen layer has no adapter of effect", async () => {
    const factors = fresh(/[qkv]_proj/);
    const after = await trained("safety-layers", { layers: [0, 0] }, factors);
    expect(moved(factors, after)).toEqual([...factors.keys()].filter((name) => name.startsWith("model.layers.1.")));
  });

  test("the clipped norm is that of the trained weights alone", async () => {
    const norm = async (options: object) =>
      Number((await (await trainer("safety-layers", options, all)).step()).gradientNorm);
    expect(await norm({ layers: [0, 1] })).toBeLessThan(await norm({ layers: [1, 0] }));
  });

  test("layers that the model has not are an error", async () => {
    await expect(trainer("safety-layers", { layers: [1, 2] }, all)).rejects.toThrow(
      expect.objectContaining({ code: "LAYER_RANGE_INVALID" }),
    );
  });
});

describe.each(["sn-tune", "rsn-tune"])("%s", (name) => {
  const options = { select: "top", topAttention: 3, topFeedForward: 8, most: 4 };

  test("weights differ exactly where a neuron is trained", async () => {
    const { program, step } = await trainer(name, options, all);
    for (let i = 0; i < 3; i++) await step();
    const [after, state] = [await program.trained(), await program.save()];
    let neurons = 0;
    for (const [weightName, { shape, data }] of all) {
      const mask = state.get(`memory mask ${weightName.replace(/\.weight$/, "")}`);
      const [, columns = 1] = shape;
      const found = after.get(weightName)?.data as Float32Array;
      for (let i = 0; i < data.length; i++) {
        const place = mask?.shape[0] === 1 ? i % columns : Math.floor(i / columns);
        expect(found[i] !== data[i], `${weightName} ${i}`).toBe(Number(mask?.data[place] ?? 0) === 1);
      }
      const size = mask === undefined ? 0 : Array.from(mask.data, Number).reduce((a, b) => a + b, 0);
      expect(size).toBeLessThanOrEqual(4);
      neurons += size;
    }
    expect(neurons).toBeGreaterThan(0);
    expect((await step()).neurons).toBe(neurons);
  });

  test("clipBeforeMask measures the gradient of all weights", async () => {
    const norm = async (more: object) =>
      Number((await (await trainer(name, { ...options, ...more }, all)).step()).gradientNorm);
    const whole = Number((await (await trainer("sft", {}, all)).step()).gradientNorm);
    expect(await norm({})).toBeLessThan(whole / 2);
    expect(await norm({ clipBeforeMask: true })).toBeCloseTo(whole, 4);
  });

  test("both modes find neurons, LoRA factors are refused, and so is a search without a result", async () => {
    await expect(trainer(name, { ...options, topAttention: 6, mode: "reference" }, all)).resolves.toBeDefined();
    await expect(trainer(name, options, fresh(/q_proj/))).rejects.toThrow(
      expect.objectContaining({ code: "OPTIONS_CONFLICT" }),
    );
    await expect(trainer(name, { epsilon: 1e6 }, all)).rejects.toThrow(
      expect.objectContaining({ code: "NEURONS_NOT_FOUND" }),
    );
  });
});

describe("salora", () => {
  const options = { safetyRank: 2, taskRank: 3 };
  const factors = fresh(/[qkv]_proj|up_proj|down_proj/);
  const modules = [...new Set([...factors.keys()].map((name) => name.replace(/\.lora_[AB]\.weight$/, "")))];

  /** What the adapter adds to a weight, times `1 / SCALE`. */
  function change(adapter: Weights, module: string): { out: number; width: number; data: ArrayLike<number> } {
    const [out, width] = model.linears.get(module) as readonly [number, number];
    const nothing = new Map([[`${module}.weight`, zeros("float32", [out, width])]]);
    const own = new Map([...adapter].filter(([name]) => name.startsWith(`${module}.`)));
    return { out, width, data: mergeLora(nothing, own, 1).get(`${module}.weight`)?.data as Float32Array };
  }

  test("it begins at the model itself, with factors of twice the rank", async () => {
    const { program, losses } = await trainer("salora", options, factors);
    const published = await program.trained();
    for (const module of modules) {
      expect(published.get(`${module}.lora_A.weight`)?.shape[0]).toBe(4);
      for (const x of Array.from(change(published, module).data)) expect(Math.abs(x)).toBeLessThan(1e-6);
    }
    const plain = await trainer("kl", { lambda: 0 }, factors);
    expect((await losses()).loss).toBeCloseTo(Number((await plain.losses()).loss), 5);
  });

  test("what is published is what was trained", async () => {
    const { program, step, losses } = await trainer("salora", options, factors);
    for (let i = 0; i < 3; i++) await step();
    const published = await trainer("kl", { lambda: 0 }, await program.trained());
    expect((await losses()).loss).toBeCloseTo(Number((await published.losses()).loss), 5);
  });

  test("no change has a part in the directions of safe answers, each layer having its own", async () => {
    const seen = await observer(
      { device, model, weights: await device.uploadAll(all) },
      { scale: 1, tensors: all },
      {
        tokens: "answer",
        reduce: (linear, x, params) =>
          modules.includes(linear)
            ? { [linear]: gram(ops.matmul(x, params[`${linear}.weight`] as Tensor, { transB: true })) }
            : {},
      },
    );
    const grams = await seen.sum(all, rows.alignment as Example[]);
    const published = await trained("salora", options, factors);
    for (const module of modules) {
      const { out, width, data } = change(published, module);
      const { vectors } = symmetricEigen((grams.get(module) as HostTensor<"float64">).data, out);
      const along = (direction: number) =>
        Math.hypot(
          ...Array.from({ length: width }, (_, j) => {
            let sum = 0;
            for (let i = 0; i < out; i++)
              sum += (vectors[direction * out + i] as number) * (data[i * width + j] as number);
            return sum;
          }),
        );
      expect(along(0) + along(1), module).toBeLessThan(1e-5);
      expect(along(2) + along(out - 1), module).toBeGreaterThan(1e-3);
    }
  });

  test("referenceTaskPass changes where higher layers begin, not the first", async () => {
    const start = async (referenceTaskPass: boolean) => {
      const { program } = await trainer("salora", { ...options, taskRank: 1, referenceTaskPass }, factors);
      const state = await program.save();
      return state.get("weights")?.data as Float32Array;
    };
    const [ours, theirs] = [await start(false), await start(true)];
    const differs = ours.map((x, i) => Number(x !== theirs[i]));
    const first = [...factors]
      .filter(([name]) => name.includes("layers.0."))
      .reduce((sum, [, x]) => sum + x.data.length, 0);
    expect(differs.subarray(0, first).includes(1)).toBe(false);
    expect(differs.subarray(first).includes(1)).toBe(true);
  });

  test("without safety directions, and with all of the task's, it begins at the best approximation of the weights", async () => {
    const { program, step } = await trainer("salora", { safetyRank: 0, taskRank: 12 }, factors);
    const state = (await program.save()).get("weights")?.data as Float32Array;
    expect(state.some((x) => x !== 0)).toBe(true);
    expect((await step()).applied).toBe(1);
  });

  test("as many safety directions as a layer has outputs are refused", async () => {
    await expect(trainer("salora", { safetyRank: 4 }, factors)).rejects.toThrow(
      expect.objectContaining({ code: "OPTIONS_CONFLICT" }),
    );
  });

  test("all weights, or factors that were trained, are refused", async () => {
    const conflict = expect.objectContaining({ code: "OPTIONS_CONFLICT" });
    await expect(trainer("salora", options, all)).rejects.toThrow(conflict);
    const used = new Map([...factors].map(([name, x]) => [name, { ...x, data: x.data.map(() => 1) }]));
    await expect(trainer("salora", options, used)).rejects.toThrow(conflict);
  });
});
