import { z } from "zod";
import { strongest } from "../../models/adapter-sum.ts";
import { type Factors, factorsOf, nameOfA, nameOfB } from "../../models/adapters.ts";
import { multiply, transposed } from "../../tensor/matrix.ts";
import type { HostTensor } from "../../tensor/tensor.ts";
import { type LoraAdapter, transform } from "../transform.ts";

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

/** `U_k U_k' B`, U_k the k first left singular vectors of `B A`; so `(U_k U_k' B) A` is the best approximation of `B A` of rank k. */
function alongStrongest(factors: Factors, k: number): HostTensor<"float64"> {
  const { u } = strongest(factors, k);
  return multiply(u, multiply(transposed(u), factors.b));
}

/** The adapter with `B + α U_k U_k' B` in the place of each B. */
export function extrapolated(adapter: LoraAdapter, { rank, coefficient }: z.infer<typeof options>): LoraAdapter {
  const whole = rank === 0 || rank >= adapter.config.r;
  const tensors = factorsOf(adapter).flatMap((factors) => {
    const { module, a, b } = factors;
    const part = whole ? b : alongStrongest(factors, rank);
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
 * choose(TRANSFORMS, { name: "lox", rank: 6, coefficient: 1.25 });
 */
export const lox = transform({
  name: "lox",
  label: "LoX",
  stage: "align",
  options,
  tried: [0.5, 1.25, 2, 4].map((coefficient) => ({ coefficient, rank: 6 })),
  create: (chosen) => ({
    needs: [],
    mustChange: chosen.coefficient > 0,
    apply: async ({ adapter }) => ({ adapter: extrapolated(adapter, chosen), report: {} }),
  }),
});
