import { describe, expect, test } from "vitest";
import { dim, ops } from "../autodiff/index.ts";
import { Device, typesOf } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import { quantiseGroups, type Stored, storedGroups, widened } from "../tensor/stored.ts";
import { tensor } from "../tensor/tensor.ts";
import { blockBits, blockParts, blockProductOf, kernelsAreExact } from "./blocks.ts";

const device = new Device({ threads: 1 });
const random = new RandomStream(4, "blocks");
const [OUT, WIDTH] = [40, 96];
let at = 0;
const normals = (count: number) => Float32Array.from({ length: count }, () => random.normal(at++));
const matrix = () => tensor("float32", [OUT, WIDTH], normals(OUT * WIDTH));
const groups = (group: number, [least, most]: readonly [number, number], withMinima = false): Stored => {
  const [codes, scales] = [new Int8Array(OUT * WIDTH), normals((OUT * WIDTH) / group)];
  for (const i of codes.keys()) codes[i] = least + random.integer(at++, most - least + 1);
  const minima = withMinima ? normals(scales.length) : undefined;
  return storedGroups({ codes, scales, minima }, [OUT, WIDTH], [least, most]);
};

const kinds: readonly (readonly [string, Stored])[] = [
  ["8 bits", quantiseGroups(8, matrix(), 32)],
  ["8 bits, every code", groups(32, [-128, 127])],
  ["8 bits with minima", groups(32, [0, 31], true)],
  ["8 bits in groups of 16", groups(16, [-32, 31])],
  ["4 bits", groups(32, [-8, 7])],
  ["4 bits with minima", quantiseGroups(4, matrix(), 32)],
  ["4 bits in groups of 16", groups(16, [-8, 7])],
];

/** Activations whose sizes differ much within a block, a block of zeros among them. */
const activations = (rows: number) =>
  normals(rows * WIDTH).map((x, i) => (i % WIDTH < 32 && i < WIDTH ? 0 : x * (i % 29 === 0 ? 300 : 1)));

function program(stored: Stored, rounded: boolean) {
  const frozen = Object.fromEntries(blockParts("w", stored, rounded ? "rounded" : "float32"));
  return device.compile(
    { x: { dtype: "float32" as const, shape: [dim("rows"), WIDTH] }, w: typesOf(frozen) },
    ({ x, w }) => ({ y: blockProductOf(x, w, "w") ?? ops.mul(x, Number.NaN) }),
    { w: frozen },
  );
}

describe.each(kinds)("%s", (_, stored) => {
  const { data } = widened(stored);
  const exact = (x: ArrayLike<number>, rows: number) =>
    Array.from({ length: rows * OUT }, (_, i) => {
      let sum = 0;
      for (let j = 0; j < WIDTH; j++) {
        sum += (x[Math.floor(i / OUT) * WIDTH + j] as number) * (data[(i % OUT) * WIDTH + j] as number);
      }
      return sum;
    });
  const errorOf = (found: ArrayLike<number>, expected: readonly number[]) =>
    Math.hypot(...expected.map((y, i) => y - (found[i] as number))) / Math.hypot(...expected);

  test("products are as exact as in float32, of few rows and of many", async () => {
    const made = await program(stored, false);
    for (const rows of [1, 2, 3, 4, 7, 16]) {
      const x = activations(rows);
      const { y } = await made.run({ x: tensor("float32", [rows, WIDTH], x) });
      expect(errorOf(y.data as Float32Array, exact(x, rows))).toBeLessThan(1e-6);
    }
  });

  test("rounded ones err by about a percent", async () => {
    const made = await program(stored, true);
    const x = activations(5);
    const { y } = await made.run({ x: tensor("float32", [5, WIDTH], x) });
    const error = errorOf(y.data as Float32Array, exact(x, 5));
    expect(error).toBeGreaterThan(1e-5);
    expect(error).toBeLessThan(0.02);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])(
    "%s in a row makes that row no number and leaves the others",
    async (bad) => {
      const x = activations(3);
      const clean = tensor("float32", [3, WIDTH], x.slice());
      x[WIDTH + 40] = bad;
      for (const rounded of [false, true]) {
        const made = await program(stored, rounded);
        const [found, expected] = [
          await made.run({ x: tensor("float32", [3, WIDTH], x) }),
          await made.run({ x: clean }),
        ];
        const row = (y: ArrayLike<number | bigint>, r: number) => Array.from(y, Number).slice(r * OUT, (r + 1) * OUT);
        expect(row(found.y.data, 1).some(Number.isFinite)).toBe(false);
        for (const r of [0, 2]) expect(row(found.y.data, r)).toEqual(row(expected.y.data, r));
      }
    },
  );
});

test("matrices in groups of another size are left as they are", () => {
  const odd = groups(24, [-128, 127]);
  expect(blockBits(odd)).toBeUndefined();
  expect(blockParts("w", odd, "float32")).toEqual([]);
  expect(blockParts("w", { codes: tensor("float16", [1, 2], new Uint16Array(2)) }, "float32")).toEqual([]);
});

test("this machine's kernels are exact", async () => {
  expect(await kernelsAreExact(device)).toBe(true);
});
