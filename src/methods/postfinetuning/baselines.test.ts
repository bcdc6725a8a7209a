import { expect, test } from "vitest";
import { contextOf, expectClose, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { changesOf } from "../../models/adapters.ts";
import { normOf } from "../../tensor/matrix.ts";
import { TRANSFORMS } from "../registry.ts";

const modules = { q: [30, 40], v: [20, 50] } as const;
const adapter = randomAdapter(modules);
const changes = changesOf(adapter);
const apply = (name: string, options: object) => choose(TRANSFORMS, { name, ...options }).apply(contextOf(adapter));

test.each([0, 0.3, 1])("shrink leaves %s of every change", async (keep) => {
  const { adapter: repaired } = await apply("shrink", { keep });
  for (const [module, { data }] of changesOf(repaired)) {
    const wanted = changes.get(module)?.data.map((value) => keep * value);
    expectClose(data, wanted ?? [], 4);
  }
});

test.each([0, 0.5, 1])(
  "noise in the weights is %s times as long as the user's change, in every direction alike",
  async (relativeNorm) => {
    const { adapter: noisy, report } = await apply("noise", { relativeNorm });
    const noise = [...changesOf(noisy)].map(([module, { data }]) => ({
      data: data.map((value, i) => value - (changes.get(module)?.data[i] ?? 0)),
    }));
    const length = relativeNorm * normOf(changes.values());
    expect(report.noiseNorm).toBeCloseTo(length, 6);
    expect(normOf(noise)).toBeCloseTo(length, 3);
    // 1200 and 1000 entries of one variance: each matrix has its share of the square, to a few percent.
    const [first = { data: [] }] = noise;
    if (relativeNorm > 0) expect(normOf([first]) ** 2 / length ** 2).toBeCloseTo(1200 / 2200, 1);
  },
);

test("noise on the factors keeps their shapes and is drawn anew for each", async () => {
  const { adapter: noisy, report } = await apply("noise", { space: "factors", relativeNorm: 0.5 });
  expect(noisy.config).toEqual(adapter.config);
  const difference = [...noisy.tensors].map(([name, { data }]) => ({
    data: data.map((value, i) => value - (adapter.tensors.get(name)?.data[i] ?? 0)),
  }));
  expect(normOf(difference)).toBeCloseTo(0.5 * normOf(adapter.tensors.values()), 3);
  expect(report.noiseNorm).toBeCloseTo(normOf(difference), 3);
  expect(difference[0]?.data[0]).not.toBeCloseTo(Number(difference[1]?.data[0]), 4);
});

test("names and options that do not exist are told", () => {
  expect(() => choose(TRANSFORMS, { name: "magic" })).toThrow(expect.objectContaining({ code: "UNKNOWN_TRANSFORM" }));
  expect(() => choose(TRANSFORMS, { name: "shrink", keep: 2 })).toThrow(
    expect.objectContaining({ code: "TRANSFORM_OPTIONS_INVALID" }),
  );
});
