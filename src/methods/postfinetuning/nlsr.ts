import { z } from "zod";
import { ops } from "../../autodiff/index.ts";
import { BoosterError } from "../../errors.ts";
import { factorsOf, nameOfA, nameOfB } from "../../models/adapters.ts";
import { loraScale } from "../../models/load.ts";
import { moduleOf } from "../../models/modules.ts";
import { gram } from "../../models/observe.ts";
import { symmetricEigen } from "../../tensor/eigen.ts";
import { type Matrix, multiply, normOf, transposed } from "../../tensor/matrix.ts";
import { type HostTensor, mapNumbers } from "../../tensor/tensor.ts";
import { type LoraAdapter, type TransformContext, transform } from "../transform.ts";

const options = z.strictObject({
  alpha: z.number().min(0).default(0.9).describe("How far the safety adapter is extrapolated"),
  extrapolation: z
    .enum(["reference", "weak-to-strong"])
    .default("reference")
    .describe("Both factors times 2 alpha, as in the code, or the product times 1 + alpha"),
  sparsity: z.number().min(0).max(1).default(0.8).describe("Share of each factor's entries that are no safety neurons"),
  pruneRate: z.number().min(0).max(1).default(0.5).describe("Mean probability that a matrix is realigned"),
  epsilon: z.number().min(0).max(1).default(0.2).describe("How far the probabilities go up and down from it"),
  first: z
    .enum(["least-similar", "most-similar"])
    .default("least-similar")
    .describe("Matrices with the highest probability; the code has it the other way round than its own comment"),
});
export type NlsrOptions = z.infer<typeof options>;

/**
 * A factor's part that gives most of its outputs on safety data: `V V' W`, V the leading `floor(0.8 min(out, in))` directions of
 * X W', the outputs. W `[out, in]`, inputs `[in, in]` is X' X.
 */
export function lowRank(w: Matrix, inputs: Matrix): HostTensor<"float64"> {
  const [out = 0, width = 0] = w.shape;
  const { vectors } = symmetricEigen(multiply(multiply(w, inputs), transposed(w)).data, out);
  const kept = Math.floor(0.8 * Math.min(out, width));
  const leading = { shape: [kept, out], data: vectors.subarray(0, kept * out) };
  return multiply(transposed(leading), multiply(leading, w));
}

/** Safety neurons: 1 for the entries above the one at place `floor(sparsity * entries)` in size, counted from the smallest. */
export function safetyMask({ data }: Matrix, sparsity: number): Uint8Array {
  const sizes = Float64Array.from(data, Math.abs);
  const bound = sizes.toSorted()[Math.floor(sparsity * sizes.length)] ?? Number.POSITIVE_INFINITY;
  return Uint8Array.from(sizes, (size) => Number(size > bound));
}

const masked = (x: Matrix, mask: Uint8Array): Matrix => ({
  shape: x.shape,
  data: Float64Array.from(x.data, (value, i) => value * (mask[i] as number)),
});

type Masks = ReadonlyMap<string, Uint8Array>;

/** Cosine of the products of both adapters' masked factors, for each module in order; 0 where one of them is 0. */
export function similarities(user: LoraAdapter, reference: LoraAdapter, masks: Masks): number[] {
  const product = (adapter: LoraAdapter, module: string) => {
    const [b, a] = [nameOfB(module), nameOfA(module)].map((name) =>
      masked(adapter.tensors.get(name) as Matrix, masks.get(name) as Uint8Array),
    ) as [Matrix, Matrix];
    return multiply(b, a);
  };
  return factorsOf(user).map(({ module }) => {
    const [x, y] = [product(user, module), product(reference, module)];
    const lengths = normOf([x]) * normOf([y]);
    return lengths === 0 ? 0 : x.data.reduce((sum, value, i) => sum + value * (y.data[i] as number), 0) / lengths;
  });
}

/** From `pruneRate - epsilon` to `pruneRate + epsilon` in equal steps, by the rank of the similarity. */
export function realignmentProbabilities(
  found: readonly number[],
  { pruneRate, epsilon, first }: Pick<NlsrOptions, "pruneRate" | "epsilon" | "first">,
): number[] {
  const sign = first === "most-similar" ? 1 : -1;
  const order = Array.from(found.keys()).sort((a, b) => sign * ((found[a] as number) - (found[b] as number)));
  const step = (2 * epsilon) / Math.max(1, found.length - 1);
  return found.map((_, i) => pruneRate - epsilon + step * order.indexOf(i));
}

/** The user's adapter with the reference's entries in the drawn modules, where the mask is 1. */
export function realign(
  user: LoraAdapter,
  reference: LoraAdapter,
  masks: Masks,
  drawn: ReadonlySet<string>,
): LoraAdapter {
  const tensors = mapNumbers(user.tensors, ({ data }, name) => {
    if (!drawn.has(moduleOf(name))) return data;
    const [y, mask] = [reference.tensors.get(name)?.data, masks.get(name)];
    return data.map((value, i) => (mask?.[i] === 1 ? (y?.[i] as number) : value));
  });
  return { config: user.config, tensors };
}

/**
 * NLSR: in matrices where the user's change differs from a safety adapter's, the safety neurons get the safety adapter's values.
 *
 *     W_low = V V' W of each factor of the extrapolated safety adapter;  mask = its largest entries
 *     p by the rank of cos((B M_B)(A M_A), the same of the user's);  with probability p:  X <- the reference's where M is 1
 *
 * Source: NLSR, neuron-level safety realignment, AAAI 2025, arXiv
 * 2412.12497; xinykou/NLSR. There inputs are those of a model whose earlier layers are projected already; here of the adapter as it is.
 *
 * @throws {BoosterError} `SAFETY_ADAPTER_MISSING`, `TRANSFORM_UNFIT`
 * @example
 * choose(TRANSFORMS, { name: "nlsr", extrapolation: "weak-to-strong" });
 */
export const nlsr = transform({
  name: "nlsr",
  label: "NLSR",
  stage: "repair",
  options,
  tried: [{ sparsity: 0.9 }, { sparsity: 0.5 }, { sparsity: 0.7 }, { sparsity: 0.8 }],
  create: (chosen) => ({
    needs: ["alignment"],
    mustChange: false,
    async apply(context) {
      const user = context.adapter;
      const reference = extrapolated(context.safety(), chosen);
      checkAlike(user, reference);
      const masks = await masksOf(context, reference, chosen.sparsity);
      const modules = factorsOf(user).map(({ module }) => module);
      const probabilities = realignmentProbabilities(similarities(user, reference, masks), chosen);
      const random = context.random("nlsr");
      const drawn = modules.filter((_, i) => random.uniform(i) < (probabilities[i] as number));
      return {
        adapter: realign(user, reference, masks, new Set(drawn)),
        report: { realigned: drawn.length, matrices: modules.length },
      };
    },
  }),
});

function extrapolated({ config, tensors }: LoraAdapter, { alpha, extrapolation }: NlsrOptions): LoraAdapter {
  const factor = (name: string) => {
    if (extrapolation === "reference") return 2 * alpha;
    return name.endsWith(".lora_B.weight") ? 1 + alpha : 1;
  };
  return { config, tensors: mapNumbers(tensors, ({ data }, name) => data.map((value) => factor(name) * value)) };
}

function checkAlike(user: LoraAdapter, reference: LoraAdapter): void {
  const describe = ({ config, tensors }: LoraAdapter) =>
    `scale ${loraScale(config)}, ${[...tensors].map(([name, { shape }]) => `${name} [${shape}]`).sort()}`;
  if (describe(user) === describe(reference)) return;
  throw new BoosterError("TRANSFORM_UNFIT", "entries of the safety adapter cannot stand in for the user's", {
    expected: `rank ${user.config.r}, scale ${loraScale(user.config)}, the same modules`,
    found: `rank ${reference.config.r}, scale ${loraScale(reference.config)}`,
    hint: "Both need the same rank, alpha and modules.",
  });
}

/** Safety neurons of both factors of each module, from what the answers to safety data excite under the reference. */
async function masksOf(context: TransformContext, reference: LoraAdapter, sparsity: number): Promise<Masks> {
  const { sums } = await context.observe("alignment", reference, {
    tokens: "answer",
    reduce(linear, x, params) {
      const down = params[nameOfA(linear)];
      if (down === undefined) return {};
      return { [nameOfA(linear)]: gram(x), [nameOfB(linear)]: gram(ops.matmul(x, down, { transB: true })) };
    },
  });
  return new Map(
    [...reference.tensors].map(([name, w]) => [name, safetyMask(lowRank(w, sums.get(name) as Matrix), sparsity)]),
  );
}
