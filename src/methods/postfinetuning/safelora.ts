import { z } from "zod";
import { factorsOf, nameOfB } from "../../models/adapters.ts";
import { symmetricEigen } from "../../tensor/eigen.ts";
import { asFloat32, type Matrix, multiply, normOf, transposed } from "../../tensor/matrix.ts";
import { type HostTensor, zeros } from "../../tensor/tensor.ts";
import { transform } from "../transform.ts";

const options = z.strictObject({
  select: z
    .enum(["number", "threshold"])
    .default("number")
    .describe("Project the matrices that deviate most, so many of them, or all from a cosine downwards"),
  number: z.int().nonnegative().default(10).describe("Matrices that are projected, with select: number"),
  threshold: z
    .number()
    .min(-1)
    .max(1)
    .default(0.5)
    .describe("Highest cosine that is projected, with select: threshold"),
  projector: z
    .enum(["paper-approx", "orthogonal"])
    .default("paper-approx")
    .describe("V V' / ||V||, as in the paper, or the true projector onto the span of V"),
});
export type SafeLoraOptions = z.infer<typeof options>;

/** One matrix that carries an adapter: V, what alignment changed in it, `[out, in]`, and both factors. */
export interface AlignedPair {
  readonly v: HostTensor<"float64">;
  /** `[rank, in]` */
  readonly a: Matrix;
  /** `[out, rank]` */
  readonly b: Matrix;
}

export interface Projection {
  /** Of the change with its projection, rounded to five digits as in the reference code. */
  readonly cosine: number;
  /** `P B`, `[out, rank]`. */
  readonly projected: HostTensor<"float64">;
}

/** Eigenvalues of V V' below this share of the largest are rounding: V has no such direction. */
const SPAN = 1e-10;

/** `P X` for X `[out, columns]`. V = 0 has nothing to project onto: 0. */
export function project(
  v: HostTensor<"float64">,
  x: Matrix,
  projector: SafeLoraOptions["projector"],
): HostTensor<"float64"> {
  const size = normOf([v]);
  if (size === 0) return zeros("float64", x.shape);
  if (projector === "paper-approx") {
    const product = multiply(v, multiply(transposed(v), x));
    return { ...product, data: product.data.map((value) => value / size) };
  }
  const out = v.shape[0] as number;
  const { values, vectors } = symmetricEigen(multiply(v, transposed(v)).data, out);
  const rank = values.filter((value) => value > SPAN * (values[0] as number)).length;
  const span = { shape: [rank, out], data: vectors.subarray(0, rank * out) };
  return multiply(transposed(span), multiply(span, x));
}

/** `P B` and the cosine of `B A` with `P B A`, over all entries; 0 where the projection is. */
export function projectPair({ v, a, b }: AlignedPair, projector: SafeLoraOptions["projector"]): Projection {
  const projected = project(v, b, projector);
  const [before, after] = [multiply(b, a), multiply(projected, a)];
  const dot = before.data.reduce((sum, value, i) => sum + value * (after.data[i] as number), 0);
  const lengths = normOf([before]) * normOf([after]);
  return { cosine: lengths === 0 ? 0 : Number((dot / lengths).toFixed(5)), projected };
}

/** Highest cosine that is projected. */
export function thresholdOf(cosines: readonly number[], { select, number, threshold }: SafeLoraOptions): number {
  if (select === "threshold") return threshold;
  return number === 0 ? Number.NEGATIVE_INFINITY : (cosines.toSorted((x, y) => x - y)[number - 1] ?? 1);
}

/**
 * Safe LoRA: the user's changes that deviate most from what alignment did are replaced by their projection onto it.
 *
 *     V = W_aligned - W_unaligned,  P = V V' / ||V||_F     for each matrix
 *     c = cos(P B A, B A);  where c <= tau:  B <- P B      tau: given, or the K-th smallest c
 *
 * P is no projector: its scale is that of V. `projector: orthogonal` is one, onto the span of V; where V has full rank, it
 * changes nothing.
 *
 * Source: Hsu et al., "Safe LoRA: the Silver Lining of Reducing Safety Risks when Fine-tuning Large Language Models", NeurIPS
 * 2024, arXiv 2405.16833; IBM/SafeLoRA. Matrices are matched by name here, by order there.
 *
 * @throws {BoosterError} `ALIGNMENT_MISSING` when no alignment is known
 * @example
 * choose(TRANSFORMS, { name: "safelora", select: "threshold", threshold: 0.35 });
 */
export const safelora = transform({
  name: "safelora",
  label: "SafeLoRA",
  stage: "repair",
  options,
  tried: [6, 1, 3, 9].map((number) => ({ number, projector: "orthogonal" as const })),
  create: (chosen) => ({
    needs: [],
    mustChange: chosen.select === "number" && chosen.number > 0,
    async apply({ adapter, alignmentChange }) {
      const pairs = factorsOf(adapter).map(({ module, a, b }) => ({
        module,
        ...projectPair({ v: alignmentChange(module), a, b }, chosen.projector),
      }));
      const tau = thresholdOf(
        pairs.map(({ cosine }) => cosine),
        chosen,
      );
      const hit = pairs.filter(({ cosine }) => cosine <= tau);
      const replaced = hit.map(({ module, projected }) => [nameOfB(module), asFloat32(projected)] as const);
      const meanCosine = pairs.reduce((sum, { cosine }) => sum + cosine, 0) / pairs.length;
      return {
        adapter: { config: adapter.config, tensors: new Map([...adapter.tensors, ...replaced]) },
        report: { projected: hit.length, matrices: pairs.length, meanCosine },
      };
    },
  }),
});
