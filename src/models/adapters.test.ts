import { expect, test } from "vitest";
import { randomAdapter } from "../../test/transform-context.ts";
import { multiply } from "../tensor/matrix.ts";
import { tensor, zeros } from "../tensor/tensor.ts";
import { adapterOfChanges, changesOf } from "./adapters.ts";
import { mergeLora } from "./merge.ts";

const modules = { wide: [3, 5], tall: [6, 4] } as const;

test("a product by hand", () => {
  const x = tensor("float64", [2, 3], [1, 2, 3, 4, 5, 6]);
  const y = tensor("float64", [3, 2], [1, 0, 0, 1, 2, 3]);
  expect([...multiply(x, y).data]).toEqual([7, 11, 16, 23]);
});

test("the changes of an adapter are what merging adds", () => {
  const adapter = randomAdapter(modules);
  const blank = new Map(Object.entries(modules).map(([name, shape]) => [`${name}.weight`, zeros("float32", shape)]));
  const merged = mergeLora(blank, adapter.tensors, 3);
  for (const [module, { data }] of changesOf(adapter)) {
    expect(merged.get(`${module}.weight`)?.data).toEqual(Float32Array.from(data));
  }
});

test("any change can be kept as an adapter, exactly to float32", () => {
  const changes = changesOf(randomAdapter(modules));
  const kept = adapterOfChanges(changes, ["wide", "tall"]);
  expect(kept.config).toMatchObject({ r: 4, alpha: 4 });
  for (const [module, { data }] of changesOf(kept)) {
    expect([...data]).toEqual([...Float32Array.from(changes.get(module)?.data ?? [])]);
  }
});
