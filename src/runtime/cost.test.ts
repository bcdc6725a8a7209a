import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dim, ops } from "../autodiff/index.ts";
import { tensor } from "../tensor/tensor.ts";
import { bytesOfAll, type Machine } from "./cost.ts";
import { Device } from "./device.ts";
import { DryDevice } from "./dry-device.ts";

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
