import { symmetricEigen } from "../tensor/eigen.ts";
import { asFloat32, multiply, transposed } from "../tensor/matrix.ts";
import { type HostTensor, tensor, zeros } from "../tensor/tensor.ts";
import { type Factors, factorsOf, type LoraAdapter, nameOfA, nameOfB } from "./adapters.ts";
import { loraScale } from "./load.ts";

/** A squared singular value below this share of the largest is rounding. */
const ROUNDING = 1e-13;

/** One adapter times a number. */
interface Part {
  readonly adapter: LoraAdapter;
  readonly times: number;
}

/**
 * One adapter for many: the factors side by side, `[t1 B1, t2 B2, ...] [A1; A2; ...]`, so ranks add. What the scales differ by is
 * multiplied into B. A module that only some of them have counts as zero in the others.
 *
 * @param scale of what comes out: alpha / rank
 */
function sideBySide(parts: readonly Part[], scale: number): LoraAdapter {
  const r = parts.reduce((sum, { adapter }) => sum + adapter.config.r, 0);
  const tensors = new Map<string, HostTensor<"float32">>();
  let start = 0;
  for (const { adapter, times } of parts) {
    const factor = (times * loraScale(adapter.config)) / scale;
    for (const { module, a, b } of factorsOf(adapter)) {
      const [rank = 0, width = 0] = a.shape;
      const [out = 0] = b.shape;
      const down = tensors.get(nameOfA(module)) ?? zeros("float32", [r, width]);
      const up = tensors.get(nameOfB(module)) ?? zeros("float32", [out, r]);
      down.data.set(a.data, start * width);
      for (let i = 0; i < out; i++) {
        for (let k = 0; k < rank; k++) up.data[i * r + start + k] = factor * (b.data[i * rank + k] as number);
      }
      tensors.set(nameOfA(module), down).set(nameOfB(module), up);
    }
    start += adapter.config.r;
  }
  const targetModules = [...new Set(parts.flatMap(({ adapter }) => adapter.config.targetModules))];
  return { config: { r, alpha: scale * r, targetModules, useRslora: false }, tensors };
}

/**
 * The adapter that adds what all the given ones add together. The first one's scale stays, so factors of one scale are only moved.
 *
 * @example
 * sumOf([readAdapter("runs/hard/adapter"), readAdapter("runs/attack/delta")]);
 */
export function sumOf(adapters: readonly [LoraAdapter, ...LoraAdapter[]]): LoraAdapter {
  const [first] = adapters;
  if (adapters.length === 1) return first;
  return sideBySide(
    adapters.map((adapter) => ({ adapter, times: 1 })),
    loraScale(first.config),
  );
}

/** What one adapter adds beyond another on the same weights, as an adapter: `B A s - B0 A0 s0`. */
export const differenceOf = (after: LoraAdapter, before: LoraAdapter): LoraAdapter =>
  sideBySide(
    [
      { adapter: after, times: 1 },
      { adapter: before, times: -1 },
    ],
    1,
  );

/**
 * The left singular vectors `[out, at most k]` of `B A`, strongest first, and the squares of all its singular values.
 *
 * Two eigenproblems of the adapter's rank. Where the k-th and the next singular value are equal, which one counts is arbitrary.
 */
export function strongest(
  { a, b }: Factors,
  k: number,
): { readonly u: HostTensor<"float64">; readonly squares: Float64Array } {
  const [r = 0] = a.shape;
  const inner = symmetricEigen(multiply(a, transposed(a)).data, r);
  const root = inner.vectors.map(
    (entry, at) => entry * Math.sqrt(Math.max(0, inner.values[Math.floor(at / r)] as number)),
  );
  // C C' = B A A' B', so C has the singular values and left vectors of B A in no more columns than the rank.
  const c = multiply(b, transposed(tensor("float64", [r, r], root)));
  const { values, vectors } = symmetricEigen(multiply(transposed(c), c).data, r);
  const kept = [...values.subarray(0, k)].filter((value) => value > ROUNDING * (values[0] as number));
  const scaled = vectors
    .subarray(0, kept.length * r)
    .map((entry, at) => entry / Math.sqrt(kept[Math.floor(at / r)] as number));
  return { u: multiply(c, transposed(tensor("float64", [kept.length, r], scaled))), squares: values };
}

/**
 * The best adapter of a smaller rank: of each change `B A` the strongest singular directions, `U_k (U_k' B A)`.
 *
 * @returns with the error: the Frobenius norm of what is missing, as a share of the norm of what was there
 * @example
 * const { adapter, error } = reduced(sumOf([hard, attack]), 16);
 */
export function reduced(adapter: LoraAdapter, rank: number): { readonly adapter: LoraAdapter; readonly error: number } {
  const { config } = adapter;
  if (rank >= config.r) return { adapter, error: 0 };
  const tensors = new Map<string, HostTensor<"float32">>();
  let [lost, whole] = [0, 0];
  for (const factors of factorsOf(adapter)) {
    const { module, a, b } = factors;
    const { u, squares } = strongest(factors, rank);
    const kept = transposed(u);
    // Fewer directions than the rank: the rest is zero.
    const down = zeros("float32", [rank, a.shape[1] as number]);
    const up = zeros("float32", [rank, b.shape[0] as number]);
    down.data.set(multiply(multiply(kept, b), a).data);
    up.data.set(kept.data);
    tensors.set(nameOfA(module), down).set(nameOfB(module), asFloat32(transposed(up)));
    squares.forEach((square, i) => {
      whole += Math.max(0, square);
      if (i >= rank) lost += Math.max(0, square);
    });
  }
  const scaled = { ...config, r: rank, alpha: loraScale(config) * rank, useRslora: false };
  return { adapter: { config: scaled, tensors }, error: whole === 0 ? 0 : Math.sqrt(lost / whole) };
}
