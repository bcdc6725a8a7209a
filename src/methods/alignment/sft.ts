import { z } from "zod";
import { valueAndGrad } from "../../autodiff/index.ts";
import { method } from "../method.ts";

/**
 * Supervised fine-tuning: `minimise f(w)`, f the mean token cross-entropy on the training rows.
 *
 * The alignment baseline of every table, and what a user's plain fine-tuning does. One forward and one backward pass.
 * Source: docs/methods/sft.md; git-disl/Booster, `script/alignment/sft.sh`.
 */
export const sft = method({
  name: "sft",
  label: "SFT",
  stage: "align",
  streams: ["alignment"],
  options: z.strictObject({}),
  // The first is the world's own learning rate.
  tried: [{}, ...[5e-4, 1e-3, 4e-3].map((learningRate) => ({ align: { learningRate } }))],
  create: () => ({
    passes: { forward: 1, backward: 1 },
    step({ weights, loss }) {
      const { value, grad } = valueAndGrad((w) => loss(w, "alignment"))(weights);
      return { gradient: grad, metrics: { loss: value } };
    },
  }),
});
