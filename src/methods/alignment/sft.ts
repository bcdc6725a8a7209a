import { z } from "zod";
import { valueAndGrad } from "../../autodiff/index.ts";
import type { Method } from "../method.ts";

const options = z.strictObject({});

/**
 * Supervised fine-tuning: `minimise f(w)`, f the mean token cross-entropy on the training rows.
 *
 * The alignment baseline of every table, and what a user's plain fine-tuning does. One forward and one backward pass.
 * Source: docs/methods/sft.md; git-disl/Booster, `script/alignment/sft.sh`.
 */
export const sft: Method<z.infer<typeof options>> = {
  name: "sft",
  stage: "alignment",
  streams: ["alignment"],
  options,
  passes: () => ({ forward: 1, backward: 1 }),
  step({ weights, loss }) {
    const { value, grad } = valueAndGrad((w) => loss(w, "alignment"))(weights);
    return { gradient: grad, metrics: { loss: value } };
  },
};
