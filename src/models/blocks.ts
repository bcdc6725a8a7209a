/** Stored matrices as the kernels for few rows read them. */
import { dim, ops, type Tensor, type Tree } from "../autodiff/index.ts";
import { type Device, typesOf } from "../runtime/index.ts";
import { RandomStream } from "../tensor/random.ts";
import type { Stored } from "../tensor/stored.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";

/** What a product does with the numbers that a matrix is multiplied to: `rounded`, as llama.cpp does, to 8 bits in each block. */
export type Activations = "float32" | "rounded";

const namesOf = (name: string, activations: Activations) =>
  ["codes", "scales", "minima"].map((part) => `${name}.${activations}.${part}`) as [string, string, string];

/** Groups of a power of two are blocks of the kernels. */
const isBlock = (group: number) => group >= ops.LEAST_GROUP && (group & (group - 1)) === 0;

/** Bits of the codes of a matrix that the kernels can read. */
export function blockBits({ codes, scales }: Stored): 4 | 8 | undefined {
  if (scales === undefined) return undefined;
  const bits = codes.dtype === "uint8" ? 4 : 8;
  return isBlock(((8 / bits) * (codes.shape[1] as number)) / (scales.shape[1] as number)) ? bits : undefined;
}

/**
 * A matrix in groups under the names that `blockProductOf` looks for; nothing where the kernels cannot read it. Codes are counted from 2^(bits - 1), so
 * those of four bits that have a minimum m and a scale s get m + 8 s.
 */
export function blockParts(name: string, stored: Stored, activations: Activations): [string, HostTensor][] {
  const { codes, scales, minima } = stored;
  const bits = blockBits(stored);
  if (bits === undefined || scales === undefined) return [];
  const isPacked = bits === 4;
  const [rows = 0, columns = 0] = codes.shape;
  const groups = scales.shape[1] as number;
  const from = codes.data as Uint8Array | Int8Array;
  const bytes = new Uint8Array(from.length);
  if (isPacked) {
    // Halves of a row that share bytes become neighbours that do.
    const code = (row: number, j: number) =>
      j < columns ? (from[row * columns + j] as number) & 15 : (from[row * columns + j - columns] as number) >> 4;
    for (let row = 0, at = 0; row < rows; row++) {
      for (let j = 0; j < 2 * columns; j += 2, at++) bytes[at] = code(row, j) | (code(row, j + 1) << 4);
    }
  } else for (let i = 0; i < from.length; i++) bytes[i] = (from[i] as number) + 128;
  const zero = isPacked ? 8 : 0;
  const names = namesOf(name, activations);
  return [
    [names[0], tensor("uint8", [rows, groups, columns / groups], bytes)],
    [names[1], scales],
    ...(minima === undefined
      ? []
      : [
          [
            names[2],
            tensor(
              "float32",
              minima.shape,
              minima.data.map((m, i) => m + zero * (scales.data[i] as number)),
            ),
          ] as [string, HostTensor],
        ]),
  ];
}

/** `x W'` by the blocks of that name; undefined where there are none. */
export function blockProductOf(x: Tensor, tensors: Tree, name: string): Tensor | undefined {
  const isRounded = namesOf(name, "rounded")[0] in tensors;
  const parts = namesOf(name, isRounded ? "rounded" : "float32").map((part) => tensors[part]);
  const [codes, scales, minima] = parts;
  if (codes === undefined || scales === undefined) return undefined;
  const [, groups, bytes] = codes.shape as readonly [number, number, number];
  const group = (x.dim(1) as number) / groups;
  const y = ops.blockProduct(x, codes, scales, bytes === group ? 8 : 4, isRounded);
  if (minima === undefined) return y;
  const sums = ops.sum(ops.reshape(x, [x.dim(0), groups, group]), { axes: [2] });
  return ops.add(ops.matmul(sums, minima, { transB: true }), y);
}

/** Relative to the norm of the result; float32 has some 1e-7. */
const EXACT = 3e-6;

/**
 * Whether products with blocks are as exact on this machine as products in float32: kernels for processors without certain instructions
 * may add whole numbers that run over. Numbers of the largest size are among those that are tried.
 */
export async function kernelsAreExact(device: Device): Promise<boolean> {
  const [out, groups, group] = [24, 3, 32];
  const width = groups * group;
  const random = new RandomStream(1, "block kernels");
  for (const bits of [4, 8] as const) {
    const codes = tensor(
      "uint8",
      [out, groups, (group * bits) / 8],
      Array.from({ length: (out * width * bits) / 8 }, (_, i) => (i < width ? 255 * (i & 1) : random.integer(i, 256))),
    );
    const scales = tensor(
      "float32",
      [out, groups],
      Array.from({ length: out * groups }, () => 0.5),
    );
    const weights = { codes, scales };
    const program = await device.compile(
      { x: { dtype: "float32" as const, shape: [dim("rows"), width] }, ...typesOf(weights) },
      ({ x, codes, scales }) => ({ y: ops.blockProduct(x, codes, scales, bits) }),
      weights,
    );
    for (const rows of [1, 2, 5]) {
      const x = Float32Array.from({ length: rows * width }, (_, i) =>
        i < width ? 3 * (i & 1 ? 1 : -1) : random.normal(1000 + i),
      );
      const { y } = await program.run({ x: tensor("float32", [rows, width], x) });
      const code = (row: number, j: number) => {
        const at = row * width + j;
        if (bits === 8) return (codes.data[at] as number) - 128;
        return (((codes.data[at >> 1] as number) >> (4 * (at & 1))) & 15) - 8;
      };
      let [error, norm] = [0, 0];
      for (let i = 0; i < rows * out; i++) {
        const [r, o] = [Math.floor(i / out), i % out];
        let exact = 0;
        for (let j = 0; j < width; j++) exact += 0.5 * code(o, j) * (x[r * width + j] as number);
        error += (exact - Number(y.data[i])) ** 2;
        norm += exact ** 2;
      }
      if (!(error <= EXACT ** 2 * norm)) return false;
    }
  }
  return true;
}
