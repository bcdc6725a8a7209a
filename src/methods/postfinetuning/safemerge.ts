import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import type { LoraConfig } from "../../formats/peft.ts";
import { factorsOf, nameOfA, nameOfB } from "../../models/adapters.ts";
import { loraScale } from "../../models/load.ts";
import type { HostTensor } from "../../tensor/tensor.ts";
import { type LoraAdapter, transform } from "../transform.ts";
import { projectPair } from "./safelora.ts";

const options = z.strictObject({
  threshold: z.number().default(0.35).describe("Matrices with a smaller cosine are merged"),
  userWeight: z.number().min(0).default(0.8).describe("Weight of the user's adapter where both are merged"),
  safetyWeight: z.number().min(0).default(0.2).describe("Weight of the safety adapter there"),
});

/**
 * PEFT's linear combination of two adapters of one rank, matrix by matrix: A and B are added each by itself,
 * `sqrt(w s) X_user + sqrt(w' s') X_safety`, so that the product has mixed terms. The result's scale is 1.
 *
 * @param merged modules where both count with their weights; elsewhere it is the user's alone
 * @throws {BoosterError} `TRANSFORM_UNFIT` for adapters of different ranks or modules
 */
export function mergeLinear(
  user: LoraAdapter,
  safety: LoraAdapter,
  merged: ReadonlySet<string>,
  weights: { readonly userWeight: number; readonly safetyWeight: number },
): LoraAdapter {
  const { r, targetModules } = user.config;
  const tensors = new Map<string, HostTensor<"float32">>();
  for (const { module, a, b } of factorsOf(user)) {
    const isMerged = merged.has(module);
    const own = Math.sqrt((isMerged ? weights.userWeight : 1) * loraScale(user.config));
    const other = isMerged ? Math.sqrt(weights.safetyWeight * loraScale(safety.config)) : 0;
    for (const [name, x] of [
      [nameOfA(module), a],
      [nameOfB(module), b],
    ] as const) {
      const y = safety.tensors.get(name);
      if (isMerged && `${y?.shape}` !== `${x.shape}`) throw unfit(name, x.shape, y?.shape);
      tensors.set(name, { ...x, data: x.data.map((value, i) => own * value + other * (y?.data[i] ?? 0)) });
    }
  }
  const config: LoraConfig = { r, alpha: r, targetModules, useRslora: false };
  return { config, tensors };
}

const unfit = (name: string, wanted: readonly number[], found: readonly number[] | undefined) =>
  new BoosterError("TRANSFORM_UNFIT", "the safety adapter cannot be merged with the user's", {
    expected: `${name} [${wanted.join(", ")}]`,
    found: found === undefined ? "none" : `[${found.join(", ")}]`,
    hint: "Both need the same rank and the same modules.",
  });

/**
 * SafeMERGE: where the user's change deviates from what alignment did, it is merged with an adapter trained on safety data.
 *
 *     c = Safe LoRA's cosine;  where c < tau:  X <- sqrt(w_u s) X_user + sqrt(w_s s) X_safety   for X = A, B
 *
 * Source: SafeMERGE, arXiv 2503.17239; aladinD/SafeMERGE, its linear mode. There the safety adapter is trained for the purpose on the
 * aligned model; here the alignment's own stands in for it where no other is given.
 *
 * @throws {BoosterError} `ALIGNMENT_MISSING`, `SAFETY_ADAPTER_MISSING`, `TRANSFORM_UNFIT`
 * @example
 * choose(TRANSFORMS, { name: "safemerge", threshold: 0.5 });
 */
export const safemerge = transform({
  name: "safemerge",
  label: "SafeMERGE",
  stage: "repair",
  options,
  tried: [{ threshold: 0.4 }, { threshold: 0.2 }, { threshold: 0.6 }, { threshold: 0.8 }],
  create: ({ threshold, ...weights }) => ({
    needs: [],
    mustChange: false,
    async apply({ adapter, alignmentChange, safety }) {
      const modules = factorsOf(adapter);
      const merged = modules.flatMap(({ module, a, b }) =>
        projectPair({ v: alignmentChange(module), a, b }, "paper-approx").cosine < threshold ? [module] : [],
      );
      return {
        adapter: mergeLinear(adapter, safety(), new Set(merged), weights),
        report: { merged: merged.length, matrices: modules.length },
      };
    },
  }),
});
