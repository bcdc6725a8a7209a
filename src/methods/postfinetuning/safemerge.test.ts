import { expect, test } from "vitest";
import { contextOf, expectClose, randomAdapter } from "../../../test/transform-context.ts";
import { choose } from "../../choice.ts";
import { changesOf, nameOfA, nameOfB } from "../../models/adapters.ts";
import { multiply } from "../../tensor/matrix.ts";
import { TRANSFORMS } from "../registry.ts";

const modules = { m: [4, 6], n: [4, 6] } as const;
const user = randomAdapter(modules);
const safe = randomAdapter(modules, 2);
const alignment = changesOf(randomAdapter(modules, 3));
const context = contextOf(user, { alignmentChange: (module) => alignment.get(module)!, safety: () => safe });
const apply = (options: object, on = context) => choose(TRANSFORMS, { name: "safemerge", ...options }).apply(on);

test("threshold -1 keeps the user's adapter", async () => {
  const { adapter, report } = await apply({ threshold: -1 });
  expect(report).toEqual({ merged: 0, matrices: 2 });
  expect(adapter.config).toMatchObject({ r: 2, alpha: 2 });
  for (const [module, { data }] of changesOf(adapter)) expectClose(data, changesOf(user).get(module)?.data ?? [], 4);
});

test("a matrix that is merged is the product of both sums, mixed terms included", async () => {
  const { adapter, report } = await apply({ threshold: 2, userWeight: 0.8, safetyWeight: 0.2 });
  expect(report.merged).toBe(2);
  for (const [module, { data }] of changesOf(adapter)) {
    const product = (b: typeof user, a: typeof user) =>
      multiply(b.tensors.get(nameOfB(module))!, a.tensors.get(nameOfA(module))!).data;
    const [uu, us, su, ss] = [product(user, user), product(user, safe), product(safe, user), product(safe, safe)];
    // Both scales are 3.
    const wanted = uu.map((value, i) => 3 * (0.8 * value + 0.4 * (us[i]! + su[i]!) + 0.2 * ss[i]!));
    expectClose(data, wanted, 4);
  }
});

test("adapters of different ranks do not fit", async () => {
  const other = { ...context, safety: () => randomAdapter({ m: [4, 5], n: [4, 6] }) };
  await expect(apply({ threshold: 2 }, other)).rejects.toMatchObject({ code: "TRANSFORM_UNFIT" });
});
