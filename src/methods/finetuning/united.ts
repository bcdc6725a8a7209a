import { z } from "zod";
import { ops, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { method } from "../method.ts";

const options = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .default(0.1)
    .describe("weight of the logarithm of the harmful loss, which is kept high (λ)"),
});

/**
 * United fine-tuning: `minimise f(w) - λ log h(w)`, f the loss on the user's rows, h on the defender's harmful answers.
 *
 *     G = ∇f(w) - λ ∇h(w) / h(w)
 *
 * The logarithm bounds the pace of the ascent, not its end: a large λ drives the harmful loss up without limit. With
 * λ = 0 this is SFT. Two forward and two backward passes.
 * Source: git-disl/Booster, class `UnitedTrainer` (no paper); docs/methods/united.md.
 */
export const united = method({
  name: "united",
  label: "United",
  stage: "finetune",
  streams: ["user", "harmful"],
  options,
  limit: { lambda: 0 },
  tried: [{ lambda: 1 }, { lambda: 0.01 }, { lambda: 0.1 }, { lambda: 10 }],
  create: ({ lambda }) => ({
    passes: { forward: 2, backward: 2 },
    step({ weights, loss }) {
      const objective = (w: Tree) => ops.sub(loss(w, "user"), ops.mul(ops.log(loss(w, "harmful")), lambda));
      const { value, grad } = valueAndGrad(objective)(weights);
      return {
        gradient: grad,
        metrics: { loss: value, userLoss: loss(weights, "user"), harmfulLoss: loss(weights, "harmful") },
      };
    },
  }),
});
