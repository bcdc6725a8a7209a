import { z } from "zod";
import { adapterOfChanges, changesOf } from "../../models/adapters.ts";
import { normOf } from "../../tensor/matrix.ts";
import type { RandomStream } from "../../tensor/random.ts";
import type { HostTensor } from "../../tensor/tensor.ts";
import { transform } from "../transform.ts";

const options = z.strictObject({
  relativeNorm: z
    .number()
    .min(0)
    .default(1)
    .describe("Norm of the noise, as a multiple of the norm of what it is added to"),
  space: z
    .enum(["weights", "factors"])
    .default("weights")
    .describe("Where it is added: to the user's change of the weights, or to its LoRA factors"),
});

/** Every entry of every matrix with a normal number of its own added; all of these together have the given norm. */
function disturbed<D extends "float32" | "float64">(
  matrices: ReadonlyMap<string, HostTensor<D>>,
  norm: number,
  random: (name: string) => RandomStream,
): Map<string, HostTensor<D>> {
  const drawn = [...matrices].map(([name, matrix]) => {
    const stream = random(`noise/${name}`);
    return { name, matrix, data: Float64Array.from(matrix.data, (_, i) => stream.normal(i)) };
  });
  const scale = norm / normOf(drawn);
  return new Map(
    drawn.map(({ name, matrix, data }) => [
      name,
      { ...matrix, data: matrix.data.map((value, i) => value + scale * (data[i] as number)) as typeof matrix.data },
    ]),
  );
}

/**
 * The second trivial baseline: isotropic Gaussian noise, as long as the user's change (`relativeNorm` 1), on the matrices that the
 * adapter changes.
 *
 * A defence that is no better than this only disturbs the model.
 * Source: the random-perturbation ablation of Panacea, arXiv 2501.18100 (there on the factors, with a standard deviation that is given).
 *
 * @example
 * choose(TRANSFORMS, { name: "noise", relativeNorm: 2 });
 */
export const noise = transform({
  name: "noise",
  label: "Noise",
  stage: "repair",
  baseline: true,
  options,
  tried: [{ relativeNorm: 0.25 }, { relativeNorm: 0.5 }, { relativeNorm: 1 }, { relativeNorm: 2 }],
  create: ({ relativeNorm, space }) => ({
    needs: [],
    mustChange: relativeNorm > 0,
    async apply({ adapter, random }) {
      const { config, tensors } = adapter;
      if (space === "factors") {
        const noiseNorm = relativeNorm * normOf(tensors.values());
        return { adapter: { config, tensors: disturbed(tensors, noiseNorm, random) }, report: { noiseNorm } };
      }
      const changes = changesOf(adapter);
      const noiseNorm = relativeNorm * normOf(changes.values());
      const noisy = disturbed(changes, noiseNorm, random);
      return { adapter: adapterOfChanges(noisy, config.targetModules), report: { noiseNorm } };
    },
  }),
});
