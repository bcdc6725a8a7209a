import { describe, expect, test } from "vitest";
import { evaluate, randomRows, randomTensors, tinyModel } from "../../../../test/conformance/tiny-model.ts";
import type { Tensor, Tree } from "../../../autodiff/index.ts";
import { Device } from "../../../runtime/index.ts";
import type { HostTensor } from "../../../tensor/tensor.ts";
import { neuronModules, neuronScorer } from "./scorer.ts";
import { attentionChanges, feedForwardScores, keyScores, queryScores, valueScores } from "./scores.ts";
import { Neurons, sharedRow, topPlaces, without } from "./selection.ts";

const device = new Device({ threads: 1 });
const HEADS = { heads: 4, kvHeads: 2 };
const [TOKENS, WIDTH, INNER, HIDDEN] = [5, 3, 6, 7];

const given = randomTensors(
  [
    ["h", [TOKENS, INNER]],
    ["down", [HIDDEN, INNER]],
    ["q", [TOKENS, HEADS.heads * WIDTH]],
    ["k", [TOKENS, HEADS.kvHeads * WIDTH]],
    ["v", [TOKENS, HEADS.kvHeads * WIDTH]],
    ["o", [HIDDEN, HEADS.heads * WIDTH]],
  ],
  "float64",
);

/** `[rows][columns]` */
function rowsOf({ shape: [rows = 0, columns = 0], data }: HostTensor): number[][] {
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => Number(data[i * columns + j])),
  );
}
const zeroed = (x: number[][], column: number): number[][] => x.map((row) => row.map((v, j) => (j === column ? 0 : v)));
const distance = (a: number[][], b: number[][]): number =>
  Math.sqrt(a.flat().reduce((sum, x, i) => sum + (x - (b.flat()[i] as number)) ** 2, 0));
const timesTransposed = (x: number[][], w: number[][]): number[][] =>
  x.map((row) => w.map((weights) => weights.reduce((sum, weight, i) => sum + weight * (row[i] as number), 0)));
const of = (name: keyof typeof given | string): number[][] => rowsOf(given[name] as HostTensor);

async function scores(build: (inputs: Tree) => Tensor): Promise<number[]> {
  const { result } = await evaluate(device, given, (inputs) => ({ result: build(inputs) }));
  return Array.from((result as HostTensor).data, Number);
}

function near(found: readonly number[], expected: readonly number[]): void {
  expect(found).toHaveLength(expected.length);
  for (const [i, x] of expected.entries()) expect(found[i]).toBeCloseTo(x, 10);
}

/** Attention maps of all query heads, written out. */
function maps(q: number[][], k: number[][]): number[][][] {
  return Array.from({ length: HEADS.heads }, (_, head) => {
    const group = Math.floor((head * HEADS.kvHeads) / HEADS.heads);
    return q.map((row, t) => {
      const exps = k.map((key, u) => {
        let score = 0;
        for (let d = 0; d < WIDTH; d++) score += (row[head * WIDTH + d] as number) * (key[group * WIDTH + d] as number);
        return u <= t ? Math.exp(score / Math.sqrt(WIDTH)) : 0;
      });
      const total = exps.reduce((a, b) => a + b, 0);
      return exps.map((e) => e / total);
    });
  });
}
const mapDistance = (a: number[][][], b: number[][][]): number => distance(a.flat(), b.flat());

describe("scores are what zeroing the neuron changes", () => {
  test("feed-forward neurons", async () => {
    const output = timesTransposed(of("h"), of("down"));
    const expected = Array.from({ length: INNER }, (_, k) =>
      distance(output, timesTransposed(zeroed(of("h"), k), of("down"))),
    );
    near(await scores(({ h, down }) => feedForwardScores(h as Tensor, down as Tensor)), expected);
  });

  test("value rows that several query heads read, attention being the identity", async () => {
    const repeated = (v: number[][]) =>
      v.map((row) =>
        Array.from({ length: HEADS.heads }, (_, head) => {
          const group = Math.floor((head * HEADS.kvHeads) / HEADS.heads);
          return row.slice(group * WIDTH, (group + 1) * WIDTH);
        }).flat(),
      );
    const output = timesTransposed(repeated(of("v")), of("o"));
    const expected = Array.from({ length: HEADS.kvHeads * WIDTH }, (_, k) =>
      distance(output, timesTransposed(repeated(zeroed(of("v"), k)), of("o"))),
    );
    near(await scores(({ v, o }) => valueScores(v as Tensor, o as Tensor, HEADS)), expected);
  });

  test("query rows and key rows", async () => {
    const [q, k] = [of("q"), of("k")];
    const whole = maps(q, k);
    const change = (inputs: Tree) => attentionChanges(inputs.q as Tensor, inputs.k as Tensor, HEADS);
    near(
      await scores((inputs) => queryScores(change(inputs))),
      Array.from({ length: HEADS.heads * WIDTH }, (_, row) => mapDistance(whole, maps(zeroed(q, row), k))),
    );
    near(
      await scores((inputs) => keyScores(change(inputs))),
      Array.from({ length: HEADS.kvHeads * WIDTH }, (_, row) => mapDistance(whole, maps(q, zeroed(k, row)))),
    );
  });
});

describe("the scorer", () => {
  const model = tinyModel();
  const host = randomTensors(model.weights, "float32");
  const ids = randomRows(model, [5])[0]?.inputIds as number[];

  test("scores every neuron of a model; up and down share theirs", async () => {
    const score = await neuronScorer({ device, model, weights: await device.uploadAll(Object.entries(host)) }, "paper");
    const found = await score(host, ids);
    const lengths = neuronModules(model).map((module) => found.get(module)?.length);
    expect(lengths).toEqual([8, 4, 4, 12, 12, 8, 4, 4, 12, 12]);
    for (let layer = 0; layer < 2; layer++) {
      expect(found.get(`model.layers.${layer}.mlp.up_proj`)).toEqual(found.get(`model.layers.${layer}.mlp.down_proj`));
    }
  });

  test("zeroing a whole head's queries makes its neurons matter for nothing", async () => {
    const name = "model.layers.1.self_attn.q_proj.weight";
    const changed = { ...host, [name]: { ...(host[name] as HostTensor<"float32">) } };
    const data = (host[name] as HostTensor<"float32">).data.slice();
    data.fill(0, 0, 2 * 8);
    changed[name] = { ...(host[name] as HostTensor<"float32">), data };
    const score = await neuronScorer({ device, model, weights: await device.uploadAll(Object.entries(host)) }, "paper");
    const found = (await score(changed, ids)).get("model.layers.1.self_attn.q_proj") as Float32Array;
    expect(Array.from(found.subarray(0, 2))).toEqual([0, 0]);
    expect(found[2]).toBeGreaterThan(0);
  });

  test("an architecture without these matrices is an error", async () => {
    const other = { ...model, modules: new Map([["h.0.attn.c_attn", { role: "query" as const, layer: 0 }]]) };
    await expect(neuronScorer({ device, model: other, weights: {} }, "paper")).rejects.toThrow(
      expect.objectContaining({ code: "NEURONS_UNKNOWN" }),
    );
  });
});

describe("selection", () => {
  const queries = Array.from({ length: 5 }, (_, seed) =>
    Float32Array.from((randomTensors([["x", [20]]], "float32", seed).x as HostTensor<"float32">).data, (x) =>
      Math.abs(x),
    ),
  );

  test.each([
    { select: "top", count: 12 },
    { select: "threshold", epsilon: 0.2 },
  ] as const)("$select: one more query never adds a neuron, and what is left is important for each", (rule) => {
    const neurons = new Neurons(rule);
    let before: number[] | undefined;
    for (const query of queries) {
      neurons.see(query);
      const places = neurons.places();
      if (before !== undefined) expect(before).toEqual(expect.arrayContaining(places));
      before = places;
    }
    const expected = Array.from({ length: 20 }, (_, i) => i).filter((i) =>
      queries.every((query) =>
        rule.select === "top"
          ? query.filter((x) => x > (query[i] as number)).length < rule.count
          : (query[i] as number) >= rule.epsilon,
      ),
    );
    expect(before).toEqual(expected);
    expect(expected.length).toBeGreaterThan(0);
  });

  test("more of the top than there are neurons is all of them; no query, none", () => {
    const all = new Neurons({ select: "top", count: 12_000 });
    expect(all.places()).toEqual([]);
    all.see([1, 3, 2]);
    expect(all.places()).toEqual([0, 1, 2]);
  });

  test("the cap keeps those whose lowest score is highest", () => {
    const neurons = new Neurons({ select: "threshold", epsilon: 0 });
    neurons.see([9, 2, 5, 4]);
    neurons.see([1, 3, 5, 6]);
    expect(neurons.strongest(neurons.places(), 2)).toEqual([2, 3]);
    expect(neurons.strongest([0, 1], 5)).toEqual([0, 1]);
  });

  test("trainable neurons are a part of the safety neurons and none of the foundation neurons", () => {
    expect(without([1, 2, 3, 4], [2, 4, 7])).toEqual([1, 3]);
  });

  test("equal scores are taken in the order of their places", () => {
    expect(topPlaces([1, 2, 2, 1], 3)).toEqual([1, 2, 0]);
  });

  test("rows of shared keys: 4 heads of 3 dimensions on 2 keys", () => {
    const group = { group: 2, width: 3 };
    expect(Array.from({ length: 12 }, (_, place) => sharedRow(place, group))).toEqual([
      0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5,
    ]);
    // The authors' division sends neighbours to one row.
    expect(Array.from({ length: 12 }, (_, place) => sharedRow(place, group, "divide"))).toEqual([
      0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5,
    ]);
  });
});
