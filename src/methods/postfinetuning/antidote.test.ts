import { expect, test } from "vitest";
import { contextOf, expectClose, normal, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { changesOf } from "../../models/adapters.ts";
import { tensor } from "../../tensor/tensor.ts";
import { TRANSFORMS } from "../registry.ts";
import { checkOwnFactors, type TransformContext } from "../transform.ts";
import { highestOfEachRow, pruningScores } from "./antidote.ts";

const modules = { "m.q": [5, 6], "m.v": [7, 4] } as const;
const adapter = randomAdapter(modules);

/** Sums over two rows: column j of every matrix has the mean square j. */
const observe: TransformContext["observe"] = async () => ({
  rows: 2,
  sums: new Map(
    ["m.q", "m.v"].flatMap((module) =>
      [module, `${module}.lora_A.weight`, `${module}.lora_B.weight`].map((name) => [
        name,
        tensor("float64", [6], [0, 2, 4, 6, 8, 10]),
      ]),
    ),
  ),
});
const weight = (module: string) => normal([...modules[module as keyof typeof modules]], `${module} weight`);
const context = contextOf(adapter, { observe, weight });

const apply = (options: object, on = context) => choose(TRANSFORMS, { name: "antidote", ...options }).apply(on);

test("the score of a 3x4 matrix, entry by entry", () => {
  const w = [1, -2, 3, -4, 0.5, 6, -7, 8, 0, -1, 2, -3];
  const squares = [4, 0, 9, 1];
  const expected = w.map((value, at) => Math.abs(value) * Math.sqrt(squares[at % 4] as number));
  expect([...pruningScores(tensor("float32", [3, 4], w), squares)]).toEqual(expected);
  expect([...pruningScores(tensor("float32", [3, 4], w))]).toEqual(w.map(Math.abs));
});

test.each([0, 0.05, 0.1, 0.25, 0.5, 1])("each row loses columns - floor(columns (1 - %s))", (denseRatio) => {
  for (const columns of [1, 4, 8, 32, 256]) {
    const scores = Float64Array.from({ length: 3 * columns }, (_, i) => (i * 7919) % 101);
    const places = highestOfEachRow(scores, columns, denseRatio);
    const each = columns - Math.floor(columns * (1 - denseRatio));
    expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
    for (const row of [0, 1, 2]) {
      const own = places.filter((place) => Math.floor(place / columns) === row);
      expect(own).toHaveLength(each);
      const kept = Array.from({ length: columns }, (_, j) => row * columns + j).filter((place) => !own.includes(place));
      const highestKept = Math.max(...kept.map((place) => scores[place] as number));
      for (const place of own) expect(scores[place]).toBeGreaterThanOrEqual(highestKept);
    }
  }
});

test("weights on inputs that harmful data never excites go last; among equal ones the later goes first", () => {
  const scores = pruningScores(tensor("float32", [1, 4], [9, 1, 1, 1]), [0, 1, 1, 1]);
  expect(highestOfEachRow(scores, 4, 0.75)).toEqual([1, 2, 3]);
  expect(highestOfEachRow(scores, 4, 0.25)).toEqual([3]);
});

test.each(["lora-factors", "delta", "full"])(
  "%s: nothing goes at 0, everything at 1, the same twice",
  async (target) => {
    const changes = changesOf(adapter);
    const none = await apply({ target, denseRatio: 0 });
    expect(none.report).toEqual({ pruned: 0 });
    for (const [module, { data }] of changesOf(none.adapter)) {
      expectClose(data, changes.get(module)?.data ?? [], 5);
    }
    const all = await apply({ target, denseRatio: 1 });
    for (const [module, { data }] of changesOf(all.adapter)) {
      const left = target === "full" ? weight(module).data.map((value) => -value) : data.map(() => 0);
      expect([...data].map(Math.abs)).toEqual([...left].map(Math.abs));
    }
    expect(await apply({ target })).toEqual(await apply({ target }));
    expect((await apply({ target })).report.pruned).toBeGreaterThan(0);
  },
);

test("full: the pruned entries of the weight with the change are zero, the others as before", async () => {
  const changes = changesOf(adapter);
  const { adapter: repaired } = await apply({ target: "full", denseRatio: 0.3 });
  for (const [module, { data }] of changesOf(repaired)) {
    const whole = weight(module).data.map((value, i) => value + (data[i] as number));
    const before = weight(module).data.map((value, i) => value + (changes.get(module)?.data[i] ?? 0));
    // Two of each row: 6 - floor(6 * 0.7) and 4 - floor(4 * 0.7).
    expect(whole.filter((value) => value === 0)).toHaveLength(2 * (weight(module).shape[0] as number));
    expectClose(
      whole,
      before.map((value, i) => (whole[i] === 0 ? 0 : value)),
      5,
    );
  }
});

test("magnitude and random need no data; random takes entries whatever their row", async () => {
  expect(choose(TRANSFORMS, { name: "antidote" }).needs).toEqual(["harmful"]);
  const blind = contextOf(adapter);
  for (const score of ["magnitude", "random"]) {
    expect(choose(TRANSFORMS, { name: "antidote", score }).needs).toEqual([]);
    expect((await apply({ score, denseRatio: 0.5 }, blind)).report.pruned).toBe(6 + 5 + 4 + 7);
  }
});

test("the factors of a continued adapter are not pruned", () => {
  const unfit = expect.objectContaining({ code: "TRANSFORM_UNFIT" });
  expect(() => checkOwnFactors(choose(TRANSFORMS, { name: "antidote" }), true)).toThrow(unfit);
  checkOwnFactors(choose(TRANSFORMS, { name: "antidote" }), false);
  checkOwnFactors(choose(TRANSFORMS, { name: "antidote", target: "delta" }), true);
});

test.each(["wanda", "random"])("twice the same data give the same mask (%s)", async (score) => {
  expect(await apply({ score })).toEqual(await apply({ score }));
});

test("the safe mask spares what safe rows excite as much: all where they excite the same, nothing where the opposite", async () => {
  expect(choose(TRANSFORMS, { name: "antidote", safeMask: true }).needs).toEqual(["harmful", "alignment"]);
  const harmful = await apply({ target: "delta" });
  const same = await apply({ target: "delta", safeMask: true });
  expect(same.report.pruned).toBe(0);
  const opposite: typeof context = {
    ...context,
    async observe(data, own, options) {
      const found = await context.observe("harmful", own, options);
      if (data === "harmful") return found;
      const turned = [...found.sums].map(
        ([name, sums]) => [name, { ...sums, data: sums.data.map((x) => 1e-9 / x) }] as const,
      );
      return { ...found, sums: new Map(turned) };
    },
  };
  const spared = await apply({ target: "delta", safeMask: true }, opposite);
  expect(spared.report.pruned).toBeGreaterThan(0);
  expect(spared.report.pruned).toBeLessThanOrEqual(harmful.report.pruned as number);
});
