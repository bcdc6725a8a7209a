import { expect, test } from "vitest";
import { contextOf, expectClose, normal, randomAdapter } from "../../../test/transform-context.ts";
import { choose, settingsOf } from "../../choice.ts";
import { changesOf } from "../../models/adapters.ts";
import { multiply } from "../../tensor/matrix.ts";
import { tensor } from "../../tensor/tensor.ts";
import { TRANSFORMS } from "../registry.ts";
import { inverseFactor, type SafeDeltaOptions, safeDeltaOf } from "./safe-delta.ts";

const COLUMNS = 8;
const asFloat64 = ({ shape, data }: ReturnType<typeof normal>) => tensor("float64", shape, Float64Array.from(data));
const aligned = asFloat64(normal([5, COLUMNS], "aligned"));
const tuned = asFloat64(normal([5, COLUMNS], "tuned"));
const x = normal([20, COLUMNS], "x");
const turned = tensor(
  "float64",
  [COLUMNS, 20],
  Array.from({ length: COLUMNS * 20 }, (_, i) => x.data[(i % 20) * COLUMNS + Math.floor(i / 20)] as number),
);
const hessian = multiply(turned, x);
const chosen = (options: object) => settingsOf(TRANSFORMS, { name: "safe-delta", ...options }) as SafeDeltaOptions;

test("U' U is the inverse of the damped Hessian", () => {
  const u = inverseFactor(hessian, 0);
  const transposed = tensor(
    "float64",
    [COLUMNS, COLUMNS],
    Array.from(u.data, (_, i) => u.data[(i % COLUMNS) * COLUMNS + Math.floor(i / COLUMNS)] as number),
  );
  const identity = Array.from(u.data, (_, i) => Number(i % (COLUMNS + 1) === 0));
  expectClose(multiply(multiply(transposed, u), hessian).data, identity, 8);
  expect(Array.from(u.data).filter((value, i) => i % COLUMNS < Math.floor(i / COLUMNS) && value !== 0)).toEqual([]);
  const empty = tensor("float64", [2, 2], [0, 0, 0, 4]);
  expectClose(inverseFactor(empty, 0).data, [1, 0, 0, 0.5], 12);
  expect(() => inverseFactor(tensor("float64", [2, 2], [1, 2, 2, 1]), 0)).toThrow(
    expect.objectContaining({ code: "NOT_POSITIVE_DEFINITE" }),
  );
});

test("s 0 leaves the aligned weights; a huge s takes all but what is ignored", () => {
  expect(safeDeltaOf(aligned, tuned, hessian, chosen({ s: 0 })).weight).toEqual(aligned);
  expect(safeDeltaOf(aligned, tuned, hessian, chosen({ s: 1e9 })).taken).toBe(5 * COLUMNS - 6);
  const all = safeDeltaOf(aligned, tuned, hessian, chosen({ s: 1e9, ignored: 0 }));
  expect(all.weight).toEqual(tuned);
});

test("what the other weights make up for brings the outputs nearer to the aligned ones", () => {
  const { weight, taken } = safeDeltaOf(aligned, tuned, hessian, chosen({ s: 2000 }));
  expect(taken).toBeGreaterThan(0);
  expect(taken).toBeLessThan(5 * COLUMNS - 6);
  const off = (w: typeof weight) => {
    const difference = { ...w, data: w.data.map((value, i) => value - (aligned.data[i] as number)) };
    return Math.hypot(...multiply(difference, turned).data);
  };
  const plain = {
    ...weight,
    data: weight.data.map((value, i) => (value === tuned.data[i] ? value : (aligned.data[i] as number))),
  };
  expect(off(weight)).toBeLessThan(off(plain));
});

test("the transform changes the matrices of the adapter from their inputs on safe rows", async () => {
  const adapter = randomAdapter({ m: [5, COLUMNS] });
  const context = contextOf(adapter, {
    weight: () => normal([5, COLUMNS], "aligned"),
    observe: async (data, read) => {
      expect([data, read]).toEqual(["alignment", undefined]);
      return { rows: 4, sums: new Map([["m", hessian]]) };
    },
  });
  const apply = (options: object) => choose(TRANSFORMS, { name: "safe-delta", ...options }).apply(context);
  expectClose(
    changesOf((await apply({ s: 1e9, ignored: 0 })).adapter).get("m")?.data ?? [],
    changesOf(adapter).get("m")?.data ?? [],
    4,
  );
  expect((await apply({ s: 0 })).report).toEqual({ taken: 0, entries: 5 * COLUMNS });
});
