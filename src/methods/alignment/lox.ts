import { z } from "zod";
import { symmetricEigen } from "../../tensor/eigen.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import { type Factors, factorsOf, multiply, nameOfA, nameOfB, transposed } from "../postfinetuning/adapters.ts";
import type { AdapterTransform, LoraAdapter } from "../transform.ts";

const options = z.strictObject({
  rank: z
    .int()
    .min(0)
    .default(0)
    .describe(
      "Directions of the alignment's change of each weight that are carried on, the strongest first; 0 for all",
    ),
  coefficient: z
    .number()
    .min(0)
    .default(1)
    .describe("How much further these directions go: 1 doubles what alignment did along them"),
});

/** A squared singular value below this share of the largest is rounding. */
const ROUNDING = 1e-13;

/**
 * `U_k U_k' B`, U_k the k first left singular vectors of `B A`; so `(U_k U_k' B) A` is the best approximation of `B A` of rank k.
 *
 * Two eigenproblems of the adapter's rank. Where the k-th and the next singular value are equal, which one counts is arbitrary.
 */
function strongest({ a, b }: Factors, k: number): HostTensor<"float64"> {
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
  const u = multiply(c, transposed(tensor("float64", [kept.length, r], scaled)));
  return multiply(u, multiply(transposed(u), b));
}

/** The adapter with `B + α U_k U_k' B` in the place of each B. */
export function extrapolated(adapter: LoraAdapter, { rank, coefficient }: z.infer<typeof options>): LoraAdapter {
  const whole = rank === 0 || rank >= adapter.config.r;
  const tensors = factorsOf(adapter).flatMap((factors) => {
    const { module, a, b } = factors;
    const part = whole ? b : strongest(factors, rank);
    const further = Float32Array.from(b.data, (value, i) => value + coefficient * (part.data[i] as number));
    return [
      [nameOfA(module), a],
      [nameOfB(module), { ...b, data: further }],
    ] as const;
  });
  return { config: adapter.config, tensors: new Map(tensors) };
}

/**
 * LoX, low-rank extrapolation: what alignment did goes further along its strongest directions, so that fine-tuning has further to go back.
 *
 *     W <- W + α U_k U_k' D,   D = W - W_base = s B A,   U_k the k first left singular vectors of D
 *
 * As D is the alignment's adapter this is `B <- B + α U_k U_k' B`: A, rank and alpha stay. α = 0 changes nothing; k = 0 and k >= the rank
 * scale B by 1 + α. No pass of the model. Source: Perin et al., arXiv 2506.15606; VITA-Group/LoX, `safety/LoX.py`, which works on whole
 * models: every matrix is extrapolated, embedding and output layer among them. Here those that carry the adapter are, since no other moved.
 *
 * @example
 * configureTransform("lox", { rank: 6, coefficient: 1.25 });
 */
export const lox: AdapterTransform<z.infer<typeof options>> = {
  name: "lox",
  stage: "alignment",
  options,
  needs: () => [],
  mustChange: ({ coefficient }) => coefficient > 0,
  transform: async ({ adapter }, chosen) => ({ adapter: extrapolated(adapter, chosen), report: {} }),
};
