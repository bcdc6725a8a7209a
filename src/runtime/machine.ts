import { ops, type Tensor } from "../autodiff/index.ts";
import { tensor } from "../tensor/tensor.ts";
import type { Machine } from "./cost.ts";
import type { Device } from "./device.ts";

/** Rows, inner size and columns of the product, as in a small model's layers. */
const [ROWS, INNER, COLUMNS] = [1024, 512, 1024];
/** About the activations of a batch in such a layer, and in one of a very small model. */
const [ELEMENTS, FEW] = [2 ** 21, 2 ** 14];
/** Share of the speed of a product alone that the products of a training step reach: see docs/results/benchmarks.md. */
const REACHED = 0.75;
/** Kernels in a row, so that calling the program costs little beside them. */
const [LARGE, SMALL] = [10, 500];
const FLOAT_BYTES = 4;
const SECONDS = 0.25;

/**
 * Measures how fast a device is, in less than a second. A busy machine is slower, and so it is measured.
 *
 * @example
 * (await machineOf(new Device())).flopsPerSecond; // 2.1e11
 */
export async function machineOf(device: Device): Promise<Machine> {
  // One row or number is handed back: a copy of the whole result is not part of the measurement.
  const product = await secondsOf(device, { x: [ROWS, INNER], y: [COLUMNS, INNER] }, (x, y) =>
    ops.slice(ops.matmul(x, y, { transB: true }), 0, 0, 1),
  );
  const large = await secondsOf(device, { x: [ELEMENTS], y: [ELEMENTS] }, (x, y) =>
    ops.slice(
      repeat(LARGE, x, (sum) => ops.add(sum, y)),
      0,
      0,
      1,
    ),
  );
  const small = await secondsOf(device, { x: [FEW], y: [FEW] }, (x, y) =>
    ops.slice(
      repeat(SMALL, x, (sum) => ops.add(sum, y)),
      0,
      0,
      1,
    ),
  );
  return {
    flopsPerSecond: (REACHED * 2 * ROWS * INNER * COLUMNS) / product,
    bytesPerSecond: (3 * FLOAT_BYTES * ELEMENTS * LARGE) / large,
    secondsPerKernel: small / SMALL,
  };
}

const repeat = (times: number, x: Tensor, fn: (x: Tensor) => Tensor): Tensor =>
  Array.from({ length: times }).reduce<Tensor>(fn, x);

/** Median of the calls. */
async function secondsOf(
  device: Device,
  shapes: { readonly x: readonly number[]; readonly y: readonly number[] },
  fn: (x: Tensor, y: Tensor) => Tensor,
): Promise<number> {
  const typeOf = (shape: readonly number[]) => ({ dtype: "float32" as const, shape });
  const program = await device.compile({ x: typeOf(shapes.x), y: typeOf(shapes.y) }, ({ x, y }) => ({ z: fn(x, y) }));
  const filled = (shape: readonly number[]) =>
    tensor("float32", shape, new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1 / 3));
  const feeds = { x: filled(shapes.x), y: filled(shapes.y) };
  await program.run(feeds);
  const times: number[] = [];
  const end = performance.now() + 1000 * SECONDS;
  do {
    const start = performance.now();
    await program.run(feeds);
    times.push((performance.now() - start) / 1000);
  } while (performance.now() < end);
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}
