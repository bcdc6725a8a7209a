import { expect, test } from "vitest";
import { expectClose, randomAdapter } from "../../test/transform-context.ts";
import { normOf } from "../tensor/matrix.ts";
import { differenceOf, reduced, sumOf } from "./adapter-sum.ts";
import { type Changes, changesOf, type LoraAdapter } from "./adapters.ts";

const modules = { wide: [3, 5], tall: [6, 4] } as const;

const entryOf = (changes: Changes, module: string, i: number) => changes.get(module)?.data[i] ?? 0;
const scaledBy = (adapter: LoraAdapter, alpha: number) => ({ ...adapter, config: { ...adapter.config, alpha } });

test("the sum adds what all of them add, whatever their scales, ranks and modules", () => {
  const parts = [randomAdapter(modules), scaledBy(randomAdapter({ wide: [3, 5] }, 2), 1), randomAdapter(modules, 3)];
  const sum = sumOf(parts as [LoraAdapter, ...LoraAdapter[]]);
  expect(sum.config).toMatchObject({ r: 6, alpha: 18, useRslora: false });
  const added = parts.map(changesOf);
  for (const [module, { data }] of changesOf(sum)) {
    expectClose(
      data,
      data.map((_, i) => added.reduce((total, changes) => total + entryOf(changes, module, i), 0)),
      5,
    );
  }
});

test("factors of one scale are only moved", () => {
  const [one, other] = [randomAdapter(modules), randomAdapter(modules, 2)];
  const { tensors } = sumOf([one, other]);
  const [a, b] = [tensors.get("wide.lora_A.weight")?.data, tensors.get("wide.lora_B.weight")?.data];
  const numbers = [one, other].flatMap((part) => [...part.tensors.get("wide.lora_A.weight")!.data]);
  expect([...a!]).toEqual(numbers);
  expect([...b!.subarray(0, 2)]).toEqual([...one.tensors.get("wide.lora_B.weight")!.data.subarray(0, 2)]);
  expect([...b!.subarray(2, 4)]).toEqual([...other.tensors.get("wide.lora_B.weight")!.data.subarray(0, 2)]);
  expect(sumOf([one])).toBe(one);
});

test("the difference of two adapters adds what the one adds beyond the other", () => {
  const [after, before] = [randomAdapter(modules), randomAdapter({ wide: [3, 5] }, 2)];
  const [changed, had] = [changesOf(after), changesOf(before)];
  for (const [module, { data }] of changesOf(differenceOf(after, before))) {
    expectClose(
      data,
      data.map((_, i) => entryOf(changed, module, i) - entryOf(had, module, i)),
      5,
    );
  }
});

test("the error that is told of a smaller rank is the distance, and the least there is", () => {
  const whole = sumOf([randomAdapter(modules), randomAdapter(modules, 2)]);
  const distanceTo = (other: LoraAdapter) => normOf(changesOf(differenceOf(whole, other)).values());
  const norm = normOf(changesOf(whole).values());
  for (const rank of [1, 2, 3]) {
    const { adapter, error } = reduced(whole, rank);
    expect(adapter.config.r).toBe(rank);
    expect(error).toBeCloseTo(distanceTo(adapter) / norm, 5);
    expect(distanceTo(adapter)).toBeLessThan(distanceTo(randomAdapter(modules)));
  }
  // The wider module has three rows only, so rank 3 loses nothing of it.
  const { adapter, error } = reduced(whole, 3);
  const [was, is] = [changesOf(whole).get("wide"), changesOf(adapter).get("wide")];
  expectClose(is!.data, was!.data, 4);
  expect(error).toBeGreaterThan(0);
  expect(reduced(whole, 4)).toEqual({ adapter: whole, error: 0 });
});

test("a repeated adapter has its own rank again, without loss", () => {
  const one = randomAdapter(modules);
  const { adapter, error } = reduced(sumOf([one, one]), 2);
  expect(error).toBeLessThan(1e-7);
  for (const [module, { data }] of changesOf(adapter)) {
    expectClose(
      data,
      changesOf(one)
        .get(module)!
        .data.map((value) => 2 * value),
      4,
    );
  }
});
