/** T-Vaccine against its definition: the draw, who is perturbed and trained, its limit. */

import { describe, expect, test } from "vitest";
import { ops, type Tensor } from "../../src/autodiff/index.ts";
import { choose } from "../../src/choice.ts";
import type { RunFacts, StepContext } from "../../src/methods/method.ts";
import { METHODS } from "../../src/methods/registry.ts";
import { Device } from "../../src/runtime/index.ts";
import { RandomStream } from "../../src/tensor/random.ts";
import { type HostTensor, tensor } from "../../src/tensor/tensor.ts";
import { gradientOf, methodProgram, outputOf } from "./method-program.ts";
import { randomRows, tinyModel } from "./tiny-model.ts";
import { compileTraining, hash } from "./training.ts";

const device = new Device({ threads: 1 });
const model = tinyModel({ num_hidden_layers: 4 });
const rows = { alignment: randomRows(model, [5, 9, 3, 7], 1), harmful: randomRows(model, [6], 2) };
const batches = { alignment: [rows.alignment], harmful: [rows.harmful] };

const vector = (values: readonly number[]): HostTensor<"float32"> => tensor("float32", [values.length], values);
const flags = (active: readonly number[], layers = model.layers) =>
  vector(Array.from({ length: layers }, (_, l) => Number(active.includes(l))));

/** LoRA factors on every linear layer. */
const allShapes = (of = model) =>
  new Map(
    [...of.linears].flatMap(([module, [out, width]]): [string, readonly number[]][] => [
      [`${module}.lora_A.weight`, [2, width]],
      [`${module}.lora_B.weight`, [out, 2]],
    ]),
  );

const facts: RunFacts = {
  model,
  rows: { alignment: 4, harmful: 9 },
  steps: 30,
  seed: 3,
  stepsPerEpoch: 10,
  batch: (stream, n) => Int32Array.of(stream === "harmful" ? n : -1),
};

describe("the plan", () => {
  const programsAt = (step: number) =>
    choose(METHODS, { name: "t-vaccine", drawEvery: 2, probeEvery: 6 })
      .schedule.calls(step, facts)
      .map(({ program = "step" }) => program);

  test("is probe, draw, train, the first two at their multiples", () => {
    expect([0, 1, 2, 3, 6, 8, 12].map(programsAt)).toEqual([
      ["probe", "draw", "step"],
      ["step"],
      ["draw", "step"],
      ["step"],
      ["probe", "draw", "step"],
      ["draw", "step"],
      ["probe", "draw", "step"],
    ]);
  });

  test("gives each probe the harmful rows that come next", () => {
    const method = choose(METHODS, { name: "t-vaccine", probeEvery: 6 });
    expect([0, 6, 12].map((step) => method.schedule.calls(step, facts)[0]?.rows?.harmful?.[0])).toEqual([0, 1, 2]);
  });

  test("draws with noise that depends on the draw alone", () => {
    const gumbelAt = (step: number) => {
      const call = choose(METHODS, { name: "t-vaccine" }).schedule.calls(step, facts);
      return Array.from(call.find(({ program }) => program === "draw")?.inputs?.({}).gumbel?.data ?? [], Number);
    };
    expect(gumbelAt(20)).toEqual(gumbelAt(20));
    expect(gumbelAt(20)).not.toEqual(gumbelAt(40));
    expect(gumbelAt(20)).toHaveLength(model.layers);
  });
});

test("layers are drawn as one after the other, with the probabilities of those that are left", async () => {
  const sensitivity = [4, 1, 0.5, 2];
  const p = sensitivity.map((s) => s / 7.5);
  const at = (i: number) => p[i] as number;
  const DRAWS = 6000;
  const noise = new RandomStream(1, "draws");
  const { run } = await methodProgram(
    device,
    model,
    "t-vaccine",
    { activeLayers: 2 },
    {
      rows,
      program: "draw",
      memory: { sensitivity: vector(sensitivity), active: flags([]) },
      inputs: { gumbel: vector([0, 0, 0, 0]) },
    },
  );
  const pairs = new Map<string, number>();
  for (let draw = 0; draw < DRAWS; draw++) {
    const gumbel = p.map((_, l) => -Math.log(-Math.log(noise.uniform(4 * draw + l))));
    const outputs = await run({ gumbel: vector(gumbel) });
    const active = outputOf(outputs, "active");
    expect(active.reduce((a, b) => a + b, 0)).toBe(2);
    const key = active.join("");
    pairs.set(key, (pairs.get(key) ?? 0) + 1);
  }
  for (let i = 0; i < 4; i++) {
    for (let j = i + 1; j < 4; j++) {
      const expected = (at(i) * at(j)) / (1 - at(i)) + (at(j) * at(i)) / (1 - at(j));
      const share = (pairs.get([0, 1, 2, 3].map((l) => Number(l === i || l === j)).join("")) ?? 0) / DRAWS;
      // Four standard errors.
      expect(Math.abs(share - expected)).toBeLessThan(4 * Math.sqrt((expected * (1 - expected)) / DRAWS));
    }
  }
});

describe("a step", () => {
  test("perturbs the active layers alone, by rho over all of them together", async () => {
    const rho = 1.7;
    const seen: Record<string, Tensor> = {};
    const context = (given: StepContext): StepContext => ({
      ...given,
      loss(weights, stream, look) {
        const squares: Record<"active" | "others", Tensor[]> = { active: [], others: [] };
        const value = given.loss(weights, stream, {
          tap(place, layer, x) {
            const replaced = look?.tap?.(place, layer, x) ?? x;
            const change = ops.sub(replaced, x);
            const among = place === "attention" && layer % 2 === 1 ? "active" : "others";
            squares[among].push(ops.sum(ops.mul(change, change)));
            return replaced;
          },
        });
        // Of the last pass, which is the perturbed one.
        for (const among of ["active", "others"] as const) {
          seen[among] = ops.sqrt(squares[among].reduce((a, b) => ops.add(a, b)));
        }
        return value;
      },
    });
    const given = { rows, memory: { active: flags([1, 3]) }, context, seen };
    const outputs = await (await methodProgram(device, model, "t-vaccine", { rho }, given)).run();
    expect((outputOf(outputs, "active")[0] as number) / rho).toBeCloseTo(1, 5);
    expect(outputOf(outputs, "others")).toEqual([0]);
  });

  /** A loss that every weight and every attention output has a share in, and that costs nothing. */
  const plain = (given: StepContext): StepContext => ({
    ...given,
    loss: (weights, _, look) =>
      [
        ...Object.values(weights),
        ...Array.from({ length: given.model.layers }, (_, layer) => {
          const output = ops.expand(ops.constant(layer + 1), [2]);
          return look?.tap?.("attention", layer, output) ?? output;
        }),
      ]
        .map((x) => ops.sum(ops.mul(x, x)))
        .reduce((a, b) => ops.add(a, b)),
  });

  const trainedLayers = async (options: object, active: readonly number[], of = model) => {
    const trained = allShapes(of);
    const given = { rows, trained, memory: { active: flags(active, of.layers) }, context: plain };
    const { run } = await methodProgram(device, of, "t-vaccine", options, given);
    const outputs = await run();
    const moved = [...trained.keys()].filter((name) => gradientOf(outputs, [name]).some((x) => x !== 0));
    const layersOf = (half: string) => [
      ...new Set(moved.filter((name) => name.includes(half)).map((name) => Number(name.split(".")[2]))),
    ];
    return { attention: layersOf(".self_attn."), mlp: layersOf(".mlp.") };
  };

  test("paper: trains the adapters of the active layers", async () => {
    expect(await trainedLayers({}, [1, 3])).toEqual({ attention: [1, 3], mlp: [1, 3] });
  });

  test("reference: trains the attention adapters of the active layers, and the MLPs from the lowest one upwards", async () => {
    expect(await trainedLayers({ mode: "reference" }, [1])).toEqual({ attention: [1], mlp: [1, 2, 3] });
  });

  test("reference, in a model of more than 26 layers: from the layer below", async () => {
    const deep = tinyModel({ num_hidden_layers: 27 });
    const { attention, mlp } = await trainedLayers({ mode: "reference" }, [24], deep);
    expect([attention, mlp]).toEqual([[24], [23, 24, 25, 26]]);
  });

  test("the modes coincide where no MLP is trained", async () => {
    const gradient = async (mode: string) => {
      const given = { rows, memory: { active: flags([2]) } };
      const { run, names } = await methodProgram(device, model, "t-vaccine", { mode }, given);
      return gradientOf(await run(), names);
    };
    expect(await gradient("reference")).toEqual(await gradient("paper"));
  });
});

describe("several steps", () => {
  test("weights and moments of inactive layers keep their bits; those of active ones move", async () => {
    const { program } = await compileTraining(device, model, { method: "t-vaccine", options: {} });
    const state = await program.save();
    await program.load(state.set("memory active", flags([1])));
    const partOf = async (layer: number, key: string) => {
      const weights = await program.trained();
      const at = (await program.save()).get(key) as HostTensor;
      let [from, found] = [0, [] as number[]];
      for (const [name, { data }] of weights) {
        if (name.startsWith(`model.layers.${layer}.`))
          found = found.concat(...Array.from(at.data, Number).slice(from, from + data.length));
        from += data.length;
      }
      return found;
    };
    const keys = [...state.keys()].filter((key) => !key.startsWith("memory"));
    const everything = (layer: number) => Promise.all(keys.map((key) => partOf(layer, key)));
    const before = await Promise.all([0, 1, 2, 3].map(everything));
    for (let i = 0; i < 3; i++) await program.step(batches, 1e-2);
    const after = await Promise.all([0, 1, 2, 3].map(everything));
    expect([after[0], after[2], after[3]]).toEqual([before[0], before[2], before[3]]);
    for (const [i, part] of (after[1] ?? []).entries()) expect(part, keys[i]).not.toEqual(before[1]?.[i]);
  });

  test("with all layers active it is Vaccine, bit for bit", async () => {
    const options = { rho: 0.8 };
    const [targeted, whole] = [
      (await compileTraining(device, model, { method: "t-vaccine", options })).program,
      (await compileTraining(device, model, { method: "vaccine", options })).program,
    ];
    await targeted.run({ program: "probe", batches, learningRate: 0 });
    await targeted.run({ program: "draw", batches, learningRate: 0, inputs: { gumbel: vector([0.3, -1, 2, 0]) } });
    for (let i = 0; i < 3; i++) {
      await targeted.step(batches, 1e-2);
      await whole.step(batches, 1e-2);
    }
    expect(hash(await targeted.trained())).toBe(hash(await whole.trained()));
  });
});

test("the cost counts the probes", () => {
  expect(choose(METHODS, { name: "t-vaccine", probeEvery: 4 }).passes).toEqual({ forward: 2.25, backward: 2.25 });
});
