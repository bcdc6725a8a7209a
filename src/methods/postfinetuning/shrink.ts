import { z } from "zod";
import type { AdapterTransform } from "../transform.ts";

const options = z.strictObject({
  keep: z.number().min(0).max(1).default(0.5).describe("Share of the user's change that stays"),
});

/**
 * The first trivial baseline: the user's change scaled down, `w0 + c (w - w0)`, w0 the aligned weights.
 *
 * A defence that is no better than this at the same remaining norm only undoes fine-tuning.
 * Source: the third acceptance diagnostic of arXiv 2605.10575.
 *
 * @example
 * configureTransform("shrink", { keep: 0.3 });
 */
export const shrink: AdapterTransform<z.infer<typeof options>> = {
  name: "shrink",
  stage: "post-fine-tuning",
  baseline: true,
  options,
  needs: () => [],
  mustChange: ({ keep }) => keep < 1,
  async transform({ adapter: { config, tensors } }, { keep }) {
    const scaled = [...tensors].map(([name, factor]) =>
      name.endsWith(".lora_B.weight")
        ? ([name, { ...factor, data: factor.data.map((value) => keep * value) }] as const)
        : ([name, factor] as const),
    );
    return { adapter: { config, tensors: new Map(scaled) }, report: {} };
  },
};
