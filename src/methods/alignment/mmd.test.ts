import { describe, expect, test } from "vitest";
import { ops, type Tensor, valueAndGrad } from "../../autodiff/index.ts";
import { Device } from "../../runtime/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { mmd } from "./mmd.ts";

const device = new Device({ threads: 1 });
const [ROWS, WIDTH] = [5, 7];

function sample(seed: number, mean = 0): number[][] {
  const stream = new RandomStream(seed, "sample");
  return Array.from({ length: ROWS }, (_, i) =>
    Array.from({ length: WIDTH }, (_, j) => mean + stream.normal(i * WIDTH + j)),
  );
}

const host = (rows: readonly (readonly number[])[]): HostTensor<"float64"> =>
  tensor("float64", [rows.length, WIDTH], rows.flat());

async function measured(X: number[][], Y: number[][]) {
  const type = { dtype: "float64" as const, shape: [ROWS, WIDTH] };
  const program = await device.compile({ X: type, Y: type }, ({ X, Y }) => {
    const { value, grad } = valueAndGrad((w) => mmd(w.X as Tensor, Y))({ X });
    return { value, slope: ops.alias(grad.X as Tensor) };
  });
  const { value, slope } = await program.run({ X: host(X), Y: host(Y) });
  return { value: Number(value.data[0]), slope: Array.from(slope.data, Number) };
}

const squared = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, x, i) => sum + (x - (b[i] as number)) ** 2, 0);

/** The authors' way: one pool, all pairs, the bandwidth from the pool unless it is given. */
function byHand(X: number[][], Y: number[][], given?: number) {
  const pool = [...X, ...Y];
  const D = pool.map((a) => pool.map((b) => squared(a, b)));
  const count = pool.length ** 2 - pool.length;
  const bandwidth = given ?? D.flat().reduce((a, b) => a + b, 0) / count / 4;
  const K = D.map((row) =>
    row.map((d) => [0, 1, 2, 3, 4].reduce((s, k) => s + Math.exp(-d / (bandwidth * 2 ** k)), 0)),
  );
  let value = 0;
  for (let i = 0; i < ROWS; i++) {
    for (let j = 0; j < ROWS; j++) {
      const at = (a: number, b: number) => (K[a] as number[])[b] as number;
      value += (at(i, j) + at(ROWS + i, ROWS + j) - at(i, ROWS + j) - at(ROWS + i, j)) / ROWS ** 2;
    }
  }
  return { value, bandwidth };
}

describe("maximum mean discrepancy", () => {
  test("equals the sum over all pairs of the pool", async () => {
    const [X, Y] = [sample(1, 0.4), sample(2)];
    expect((await measured(X, Y)).value).toBeCloseTo(byHand(X, Y).value, 12);
  });

  test("its gradient is that at a fixed bandwidth", async () => {
    const [X, Y] = [sample(1, 0.4), sample(2)];
    const { bandwidth } = byHand(X, Y);
    const { slope } = await measured(X, Y);
    const step = 1e-5;
    for (let at = 0; at < ROWS * WIDTH; at++) {
      const moved = (by: number) =>
        byHand(
          X.map((row, i) => row.map((x, j) => (i * WIDTH + j === at ? x + by : x))),
          Y,
          bandwidth,
        ).value;
      expect(slope[at]).toBeCloseTo((moved(step) - moved(-step)) / (2 * step), 8);
    }
  });

  test("is 0 for equal samples, and for nothing but zeros", async () => {
    expect((await measured(sample(1), sample(1))).value).toBeCloseTo(0, 12);
    const zeros = Array.from({ length: ROWS }, () => new Array<number>(WIDTH).fill(0));
    expect((await measured(zeros, zeros)).value).toBe(0);
  });

  test("falls as the means meet", async () => {
    const values: number[] = [];
    for (const mean of [3, 2, 1, 0.5, 0]) values.push((await measured(sample(1, mean), sample(2))).value);
    expect([...values].sort((a, b) => b - a)).toEqual(values);
    expect(Math.min(...values)).toBeGreaterThan(0);
  });
});
