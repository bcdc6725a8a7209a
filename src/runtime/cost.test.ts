import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dim, ops, type Tensor } from "../autodiff/index.ts";
import { sizeOf, tensor } from "../tensor/tensor.ts";
import { arenaBytes, bytesOfAll, type Machine } from "./cost.ts";
import { Device } from "./device.ts";
import { DryDevice } from "./dry-device.ts";
import { typesOf } from "./nested.ts";

/** One operation a second and nothing else: seconds are operations. */
const COUNTING: Machine = { flopsPerSecond: 1, bytesPerSecond: Number.POSITIVE_INFINITY, secondsPerKernel: 0 };

const x = { dtype: "float32" as const, shape: [dim("n"), 8] };
const w = { dtype: "float32" as const, shape: [32, 8] };
const feeds = {
  x: tensor("float32", [5, 8], new Float32Array(40)),
  w: tensor("float32", [32, 8], new Float32Array(256)),
};

test("results are counted from where they are made to where they are last read", async () => {
  const device = new DryDevice(COUNTING);
  const program = await device.compile({ x, w }, (given) => {
    const wide = ops.matmul(given.x, given.w, { transB: true }); // [n, 32]
    const sine = ops.sin(wide); // both live: twice as much
    const turned = ops.transpose(ops.reshape(sine, [dim("n"), 4, 8]), [0, 2, 1]); // sine and its transpose; wide is gone
    return { y: ops.sum(turned) };
  });
  await program.run(feeds);
  expect(device.tallies[0]?.peakBytes).toBe(2 * 4 * 5 * 32);
  expect(program.peakBytes(feeds)).toBe(2 * 4 * 5 * 32);
});

test("operations are those that ONNX Runtime records", async () => {
  const folder = mkdtempSync(join(tmpdir(), "booster-cost-"));
  try {
    const fn = (given: { x: ReturnType<typeof ops.sin>; w: ReturnType<typeof ops.sin> }) => {
      const wide = ops.matmul(given.x, given.w, { transB: true });
      const scores = ops.matmul(ops.reshape(wide, [dim("n"), 4, 8]), ops.reshape(wide, [dim("n"), 4, 8]), {
        transB: true,
      });
      return { y: ops.matmul(wide, wide, { transA: true }), z: scores };
    };
    const real = new Device({ profilePrefix: join(folder, "trace") });
    const program = await real.compile({ x, w }, fn);
    await program.run(feeds);
    const dry = new DryDevice(COUNTING);
    const results = await (await dry.compile({ x, w }, fn)).run(feeds);
    const recorded = program.profile().ops.reduce((sum, { flops }) => sum + flops, 0);
    expect(dry.tallies[0]?.seconds).toBe(recorded);
    expect(recorded).toBe(2 * 5 * 32 * 8 + 2 * 5 * 4 * 4 * 8 + 2 * 32 * 32 * 5);
    expect(results.z.shape).toEqual([5, 4, 4]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("tensors take their elements times their size", () => {
  expect(
    bytesOfAll({ a: tensor("float32", [3, 2], [1, 2, 3, 4, 5, 6]), b: { c: tensor("bool", [5], [1, 1, 1, 1, 1]) } }),
  ).toBe(29);
});

test("an arena of more than two gigabytes is filled to the end of its last region", () => {
  // Measured on SmolLM2-135M, a dozen steps on batches of various sizes: what their results take at once, what the process grew by.
  for (const [results, took] of [
    [1.07, 1.07],
    [1.65, 1.67],
    [2.59, 3.35],
    [2.65, 3.33],
    [3.13, 4.47],
  ] as const) {
    expect(Math.abs(arenaBytes(1e9 * results) / (1e9 * took) - 1)).toBeLessThan(0.06);
  }
});

test("where a kernel goes from row to row, or has no vector instructions, memory is not what it waits for", async () => {
  const waiting: Machine = { flopsPerSecond: 1, bytesPerSecond: 1, secondsPerKernel: 0 };
  const float = (...shape: number[]) => tensor("float32", shape, new Float32Array(sizeOf(shape)));
  const given = { x: float(64, 32), column: float(64, 1), codes: tensor("int8", [64, 32], new Int8Array(64 * 32)) };
  const secondsFor = async (fn: (symbols: Record<keyof typeof given, Tensor>) => Tensor) => {
    const device = new DryDevice(waiting);
    const program = await device.compile(typesOf(given), (symbols) => ({ y: fn(symbols) }));
    await program.run(given);
    return device.tallies[0]?.seconds as number;
  };
  const plain = await secondsFor(({ x }) => ops.add(x, x));
  expect(plain).toBe(3 * 4 * 64 * 32);
  expect(await secondsFor(({ x, column }) => ops.add(x, column))).toBeGreaterThan(2.5 * plain);
  expect(await secondsFor(({ codes, column }) => ops.dequantise(codes, column))).toBeGreaterThan(1.3 * plain);
});
