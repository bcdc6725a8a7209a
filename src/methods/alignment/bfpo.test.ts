/** BFPO: its targets, where its loss is least, and what it trains. */

import { expect, test } from "vitest";
import { device, trainer } from "../../../test/conformance/trainer.ts";
import { ops, type Tensor, vjp } from "../../autodiff/index.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { bfpo, bfpoLosses, bfpoTarget } from "./bfpo.ts";

const vector = (...values: number[]) => ops.constantTensor(tensor("float64", [values.length], values));
const computed = async (build: () => Record<string, Tensor>) => (await device.compile({}, build)).run({});
const numbers = (value: HostTensor | undefined) => Array.from(value?.data ?? [], Number);
const LABELS = { chosen: [1, 1, 0, 0], rejected: [0, 1, 0, 1] };

test("targets of the four combinations of labels, and which of them turn when the answers change places", async () => {
  const found = await computed(() => {
    const [c, r] = [vector(...LABELS.chosen), vector(...LABELS.rejected)];
    const chosen = { b1: 3, alpha: 0.5 };
    return {
      as: bfpoTarget({ chosen: c, rejected: r }, chosen),
      swapped: bfpoTarget({ chosen: r, rejected: c }, chosen),
    };
  });
  expect(numbers(found.as)).toEqual([1, 0.5, -0.5, -1]);
  expect(numbers(found.swapped)).toEqual([-1, 0.5, -0.5, 1]);
});

test("the loss is least at g / beta, its slope 2 (z - g / beta), and it is (g / beta)^2 where nothing has moved", async () => {
  const chosen = bfpo.options.parse({ beta: 0.1 });
  const found = await computed(() => {
    const safety = { chosen: vector(...LABELS.chosen), rejected: vector(...LABELS.rejected) };
    const [c0, r0] = [vector(-3, -5, -2, -7), vector(-4, -1, -9, -2)];
    const at = (gain: Tensor) => {
      const c = ops.alias(ops.add(c0, gain));
      const pairs = { chosen: c, rejected: r0, referenceChosen: c0, referenceRejected: r0 };
      const losses = bfpoLosses(pairs, safety, chosen);
      return { losses, slope: vjp(ops.sum(losses), ops.constant(1, "float64"), [c])[0] as Tensor };
    };
    const best = at(vector(10, 5, -5, -10));
    const moved = at(vector(1, 2, 3, 4));
    return { best: best.losses, start: at(vector(0, 0, 0, 0)).losses, slope: moved.slope };
  });
  for (const loss of numbers(found.best)) expect(loss).toBeCloseTo(0, 10);
  expect(numbers(found.start).map((x) => Math.round(1e9 * x) / 1e9)).toEqual([100, 25, 25, 100]);
  [2 * (1 - 10), 2 * (2 - 5), 2 * (3 + 5), 2 * (4 + 10)].forEach((slope, i) => {
    expect(numbers(found.slope)[i]).toBeCloseTo(slope, 9);
  });
});

test.each([
  [true, ["mlp.down_proj"]],
  [false, undefined],
])("full tuning, selective %s", async (selective, only) => {
  const { stepper, run } = await trainer("bfpo", { selective, beta: 0.1 }, "full");
  await stepper.prepare();
  const before = await stepper.adapter();
  await run(0, 2);
  const moved = [...(await stepper.adapter())].flatMap(([name, { data }]) =>
    data.some((x, i) => x !== before.get(name)?.data[i]) ? [name] : [],
  );
  if (only === undefined) expect(moved.length).toBe(before.size);
  else expect(moved).toEqual([...before.keys()].filter((name) => only.some((part) => name.includes(part))));
});

test("both answers of a pair are read together, whatever the seed; without the buffer its streams are not asked for", () => {
  const calls = (options: object) => {
    const made = bfpo.create(bfpo.options.parse(options));
    const batch = (_: string, n: number) => Int32Array.of(n, 4, 2);
    return { made, rows: made.schedule.calls(7, { batch } as never)[0]?.rows ?? {} };
  };
  const { rows } = calls({});
  expect(rows.chosen).toEqual(rows.rejected);
  expect(rows.bufferChosen).toEqual(rows.bufferRejected);
  const without = calls({ buffer: false });
  expect(without.made.streams).toEqual(["chosen", "rejected"]);
  expect(Object.keys(without.rows)).toEqual(["chosen", "rejected"]);
});
