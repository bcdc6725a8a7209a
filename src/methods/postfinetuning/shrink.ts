import { z } from "zod";
import { mapNumbers } from "../../tensor/tensor.ts";
import { transform } from "../transform.ts";

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
 * choose(TRANSFORMS, { name: "shrink", keep: 0.3 });
 */
export const shrink = transform({
  name: "shrink",
  label: "Change scaled down",
  stage: "repair",
  baseline: true,
  options,
  tried: [{ keep: 0.75 }, { keep: 0.5 }, { keep: 0.25 }, { keep: 0.1 }],
  create: ({ keep }) => ({
    needs: [],
    mustChange: keep < 1,
    async apply({ adapter: { config, tensors } }) {
      const scaled = mapNumbers(tensors, ({ data }, name) =>
        name.endsWith(".lora_B.weight") ? data.map((value) => keep * value) : data,
      );
      return { adapter: { config, tensors: scaled }, report: {} };
    },
  }),
});
