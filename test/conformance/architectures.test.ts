/** What every row of the table of architectures promises: rows do not see each other, unasked tokens may be left out, the cache changes nothing. */
import { beforeAll, describe, expect, test } from "vitest";
import { ops, type Tensor, type Tree, valueAndGrad } from "../../src/autodiff/index.ts";
import { Generator } from "../../src/generate/generator.ts";
import {
  batchOf,
  batchTypes,
  createModel,
  hiddenStates,
  labelledStates,
  moduleOf,
  type Place,
  packBatch,
  packRows,
  rowsOf,
  rowTypes,
  tokenLoss,
  type Weights,
  weightsOf,
} from "../../src/models/index.ts";
import { Device, type DeviceTensors, type Program, typesOf } from "../../src/runtime/index.ts";
import { FAMILIES, VARIANTS } from "./tiny-families.ts";
import { numbers, randomRows, randomTensors, relativeError } from "./tiny-model.ts";

const device = new Device({ threads: 1 });
const ROWS = [
  [3, 1, 4, 1, 5, 9, 2],
  [6, 5],
  [3, 5, 8, 9],
].map((ids) => ({ ids, asked: [ids.length - 2, ids.length - 1] }));

describe.each([...FAMILIES, ...VARIANTS])("$name", ({ config }) => {
  const model = createModel(config);
  const host = randomTensors(model.weights, "float32");
  const seen = { read: new Set<string>(), linears: new Set<string>(), taps: new Set<string>() };
  let weights: DeviceTensors;
  let program: Program;

  /** Notes the weights that are read. */
  const noted = (all: Weights): Weights => ({
    ...all,
    dtype: all.dtype,
    tensor(weight) {
      seen.read.add(weight);
      return all.tensor(weight);
    },
    linear(module, x) {
      seen.read.add(`${module}.weight`);
      if (model.weights.has(`${module}.bias`)) seen.read.add(`${module}.bias`);
      return all.linear(module, x);
    },
    embed(ids) {
      seen.read.add(model.embedding);
      return all.embed(ids);
    },
  });

  beforeAll(async () => {
    weights = await device.uploadAll(Object.entries(host));
    program = await device.compile({ base: typesOf(weights), rows: rowTypes("b") }, (given) => {
      const all = noted(weightsOf(model, given.base));
      const rows = rowsOf(given.rows);
      const observe = (linear: string) => void seen.linears.add(linear);
      const tap = (place: Place, layer: number, x: Tensor) => {
        seen.taps.add(`${place} ${layer}`);
        return x;
      };
      const states = hiddenStates(model, all, rows, { observe, tap });
      return {
        states,
        asked: labelledStates(model, all, rows),
        picked: ops.gather(states, rows.labelled.to),
        next: ops.argmax(all.logits(states)),
      };
    });
  });
  const run = (rows: typeof ROWS, how = {}) => program.run({ base: weights, rows: packRows(rows, how) });

  test("reads every weight that it lists, and tells of its linear layers, its modules and what they put out", () => {
    expect([...model.weights.keys()].filter((weight) => !seen.read.has(weight) && weight !== model.head)).toEqual([]);
    expect(seen.linears).toEqual(new Set(model.linears.keys()));
    const places = Array.from({ length: model.layers }, (_, i) => [`attention ${i}`, `feedForward ${i}`, `block ${i}`]);
    expect(seen.taps).toEqual(new Set(["embedding -1", ...places.flat()]));
    expect(new Set([...model.weights.keys()].map(moduleOf))).toEqual(new Set(model.modules.keys()));
  });

  test("rows do not see each other, and no token sees a later one", async () => {
    const together = numbers(await run(ROWS), ["states"]);
    const alone: number[] = [];
    for (const row of ROWS) alone.push(...numbers(await run([row]), ["states"]));
    expect(relativeError(alone, together)).toBeLessThan(1e-5);
    const [{ ids }] = ROWS as [(typeof ROWS)[number]];
    const begun = numbers(await run([{ ids: ids.slice(0, 4), asked: [3] }]), ["states"]);
    expect(relativeError(begun, together.slice(0, begun.length))).toBeLessThan(1e-5);
  });

  test("tokens that nobody asks for may be left out of the last layer", async () => {
    const found = await run(ROWS);
    expect(relativeError(numbers(found, ["asked"]), numbers(found, ["picked"]))).toBeLessThan(1e-5);
  });

  test("what rows have in common may be computed once", async () => {
    const begins = [...ROWS, ...ROWS].map(({ ids }, i) => [7, 3, 7, 1, ...ids.slice(0, 2 + i)]);
    const rows = begins.map((ids) => ({ ids, asked: [ids.length - 1] }));
    const [shared, apart] = [await run(rows, { share: true, join: true }), await run(rows)];
    expect(shared.states?.shape[0]).toBeLessThan((apart.states?.shape[0] as number) / 1.5);
    expect(relativeError(numbers(shared, ["asked"]), numbers(apart, ["asked"]))).toBeLessThan(1e-5);
  });

  test("the cache changes nothing", async () => {
    const generator = await Generator.create({ device, model, weights });
    const prompts = ROWS.map(({ ids }) => ids);
    const answers = await generator.generate(prompts, { maxNewTokens: 6 });
    for (const [i, prompt] of prompts.entries()) {
      const ids = [...prompt];
      while (ids.length < prompt.length + 6) ids.push(Number((await run([{ ids, asked: [0] }])).next?.data.at(-1)));
      expect(answers[i]?.ids).toEqual(ids.slice(prompt.length));
    }
  });

  test("factors on every linear layer have the slopes of central differences, whatever is computed again", async () => {
    const shapes = [...model.linears].flatMap(([module, [out, width]]): [string, number[]][] => [
      [`${module}.lora_A.weight`, [2, width]],
      [`${module}.lora_B.weight`, [out, 2]],
    ]);
    const base = randomTensors(model.weights, "float64");
    const [at, along] = [randomTensors(shapes, "float64", 2), randomTensors(shapes, "float64", 3)];
    const batch = packBatch(randomRows(model, [12, 5, 9]), { chunks: 2 });
    const slopes = await device.compile(
      { base: typesOf(base), factors: typesOf(at), along: typesOf(along), batch: batchTypes("b", 2) },
      (given) => {
        const loss = (recompute: boolean) => (factors: Tree) =>
          tokenLoss(model, weightsOf(model, given.base, { scale: 0.5, tensors: factors }), batchOf(given.batch), {
            chunks: 2,
            recompute,
          });
        const slope = (recompute: boolean) => {
          const { grad } = valueAndGrad(loss(recompute))(given.factors);
          const products = Object.entries(given.along).map(([name, d]) => ops.sum(ops.mul(d, grad[name] as Tensor)));
          return products.reduce((sum, part) => ops.add(sum, part));
        };
        const moved = (step: number) =>
          loss(false)(
            Object.fromEntries(
              Object.entries(given.factors).map(([name, w]) => [
                name,
                ops.add(w, ops.mul(given.along[name] as Tensor, step)),
              ]),
            ),
          );
        return { kept: slope(false), again: slope(true), up: moved(1e-5), down: moved(-1e-5) };
      },
    );
    const { kept, again, up, down } = await slopes.run({ base, factors: at, along, batch });
    const expected = (Number(up.data[0]) - Number(down.data[0])) / 2e-5;
    expect(Math.abs(Number(kept.data[0]) / expected - 1)).toBeLessThan(1e-6);
    expect(Math.abs(Number(again.data[0]) / expected - 1)).toBeLessThan(1e-6);
  });
});
