import { ops } from "../src/autodiff/index.ts";
import { Device } from "../src/runtime/index.ts";
import { RandomStream } from "../src/tensor/random.ts";
import { tensor } from "../src/tensor/tensor.ts";

/** [rows, inner, columns]: a big square, a vocabulary head, and shapes that fit the caches. */
const SHAPES = [
  [2048, 2048, 2048],
  [640, 288, 32_000],
  [2560, 288, 768],
  [1024, 512, 1024],
  [512, 512, 512],
] as const;
const SECONDS_PER_SHAPE = 1.5;

async function speedOf([rows, inner, columns]: (typeof SHAPES)[number]): Promise<number> {
  const program = await new Device().compile(
    {
      x: { dtype: "float32" as const, shape: [rows, inner] },
      w: { dtype: "float32" as const, shape: [columns, inner] },
    },
    // Only one row is handed back: the copy of the whole product is not part of the measurement.
    ({ x, w }) => ({ y: ops.slice(ops.matmul(x, w, { transB: true }), 0, 0, 1) }),
  );
  const stream = new RandomStream(1, "peak");
  const random = (height: number, width: number) => {
    const data = new Float32Array(height * width);
    for (let i = 0; i < data.length; i++) data[i] = stream.bits(i) / 2 ** 32;
    return tensor("float32", [height, width], data);
  };
  const feeds = { x: random(rows, inner), w: random(columns, inner) };
  let best = 0;
  const end = performance.now() + 1000 * SECONDS_PER_SHAPE;
  while (performance.now() < end) {
    const start = performance.now();
    await program.run(feeds);
    best = Math.max(best, (2 * rows * inner * columns) / (performance.now() - start) / 1e6);
  }
  return best;
}

/** Fastest float32 matrix product that ONNX Runtime reaches here, over several shapes, in GFLOP/s. */
export async function matmulPeak(): Promise<number> {
  let best = 0;
  for (const shape of SHAPES) {
    const speed = await speedOf(shape);
    if (process.env.BOOSTER_BENCH_VERBOSE) console.error(shape.join(" x "), speed.toFixed(0));
    best = Math.max(best, speed);
  }
  return best;
}
