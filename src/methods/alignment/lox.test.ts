import { expect, test } from "vitest";
import { contextOf, expectClose, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { adapterOfChanges, changesOf } from "../../models/adapters.ts";
import { normOf } from "../../tensor/matrix.ts";
import { tensor, zeros } from "../../tensor/tensor.ts";
import { TRANSFORMS } from "../registry.ts";
import type { LoraAdapter } from "../transform.ts";

const lox = async (adapter: LoraAdapter, options: object) =>
  (await choose(TRANSFORMS, { name: "lox", ...options }).apply(contextOf(adapter))).adapter;

const adapter = randomAdapter({ q: [9, 7], v: [4, 12] });

type Matrix = readonly number[][];
const times = (m: Matrix, v: readonly number[]) =>
  m.map((row) => row.reduce((sum, x, i) => sum + x * (v[i] as number), 0));
const turned = (m: Matrix): Matrix => (m[0] ?? []).map((_, j) => m.map((row) => row[j] as number));
const length = (v: readonly number[]) => Math.hypot(...v);

/** The sum of the k largest `σ u v'`, found by power iteration and taken off one after the other. */
function truncated(matrix: Matrix, k: number): number[] {
  let rest = matrix;
  for (let round = 0; round < k; round++) {
    let v = (rest[0] ?? []).map((_, i) => 1 + i / 10);
    for (let i = 0; i < 2000; i++) {
      const next = times(turned(rest), times(rest, v));
      v = next.map((x) => x / length(next));
    }
    const along = times(rest, v);
    rest = rest.map((row, i) => row.map((x, j) => x - (along[i] as number) * (v[j] as number)));
  }
  return matrix.flatMap((row, i) => row.map((x, j) => x - (rest[i]?.[j] as number)));
}

test("brute force: the strongest directions of every change go on", async () => {
  // One matrix wider than high and one the other way round, as full-rank changes; and factors of rank 2.
  const full = adapterOfChanges(changesOf(randomAdapter({ q: [5, 4], v: [4, 6] })), ["q", "v"]);
  for (const [given, rank] of [
    [adapter, 1],
    [full, 1],
  ] as const) {
    const found = changesOf(await lox(given, { rank, coefficient: 1.25 }));
    for (const [module, { shape, data }] of changesOf(given)) {
      const width = shape[1] as number;
      const rows = Array.from({ length: shape[0] as number }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
      const added = truncated(rows, rank);
      expect(normOf([{ data: added }])).toBeLessThan(0.999 * normOf([{ data }]));
      expectClose(
        found.get(module)?.data ?? [],
        data.map((value, i) => value + 1.25 * (added[i] as number)),
        4,
      );
    }
  }
});

test("closed form: of a change along the axes with singular values 5, 3 and 1 the first two go on", async () => {
  const change = zeros("float64", [4, 3]);
  change.data.set([0, 3, 0, -5, 0, 0, 0, 0, 0, 0, 0, 1]);
  const given = adapterOfChanges(new Map([["q", change]]), ["q"]);
  const [found] = changesOf(await lox(given, { rank: 2, coefficient: 0.5 })).values();
  expectClose(found?.data ?? [], [0, 4.5, 0, -7.5, 0, 0, 0, 0, 0, 0, 0, 1], 6);
});

test("coefficient 0 is the alignment, byte for byte", async () => {
  for (const rank of [0, 1]) expect(await lox(adapter, { rank, coefficient: 0 })).toEqual(adapter);
  expect(choose(TRANSFORMS, { name: "lox", coefficient: 0 }).mustChange).toBe(false);
  expect(choose(TRANSFORMS, { name: "lox" }).mustChange).toBe(true);
});

test("the adapter's rank is all of it: the same bytes as rank 0, which is every change times 1 + coefficient", async () => {
  const whole = await lox(adapter, { coefficient: 0.75 });
  for (const rank of [2, 3]) expect(await lox(adapter, { rank, coefficient: 0.75 })).toEqual(whole);
  const changes = changesOf(whole);
  for (const [module, { data }] of changesOf(adapter)) {
    expectClose(
      changes.get(module)?.data ?? [],
      data.map((value) => 1.75 * value),
      4,
    );
  }
});

test("a rank that the change has not, and a change of zero, add nothing that is not there", async () => {
  // The third row of A is the sum of the others, so a rank of 2 is all there is.
  const a = tensor("float32", [3, 4], [1, 2, 0, 1, 0, 1, 3, 0, 1, 3, 3, 1]);
  const b = tensor("float32", [2, 3], [1, 0, 2, 0.5, 1, 1]);
  const config = { r: 3, alpha: 3, targetModules: ["q"], useRslora: false };
  const given = {
    config,
    tensors: new Map([
      ["q.lora_A.weight", a],
      ["q.lora_B.weight", b],
    ] as const),
  };
  const [before] = changesOf(given).values();
  const [after] = changesOf(await lox(given, { rank: 2, coefficient: 1 })).values();
  expectClose(after?.data ?? [], before?.data.map((value) => 2 * value) ?? [], 5);
  const none = {
    config,
    tensors: new Map([
      ["q.lora_A.weight", a],
      ["q.lora_B.weight", zeros("float32", [2, 3])],
    ] as const),
  };
  expect(await lox(none, { rank: 1 })).toEqual(none);
});

test("factors keep their shapes, and A is what it was", async () => {
  const found = await lox(adapter, { rank: 1 });
  expect(found.config).toEqual(adapter.config);
  expect([...found.tensors.keys()].sort()).toEqual([...adapter.tensors.keys()].sort());
  expect(found.tensors.get("q.lora_A.weight")).toEqual(adapter.tensors.get("q.lora_A.weight"));
});
