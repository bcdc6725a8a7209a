import { z } from "zod";
import { ops, tree, valueAndGrad } from "../../autodiff/index.ts";
import { method } from "../method.ts";

const options = z.strictObject({
  lambda: z.number().min(0).default(0.1).describe("weight of the loss on safety rows (the reference's lamb)"),
  safetyBatchSize: z.int().min(1).default(4).describe("safety rows of a step"),
});

/**
 * VLGuard's loss mixing: `minimise g(w) + λ f(w)`, g the loss on the user's batch, f that on a batch of refusals.
 *
 * Refusals come round in a new random order each time. λ weighs them whatever their number, where mixing data sets
 * (`safeinstr`) weighs by tokens. λ = 0 is SFT. Two forward and two backward passes, the second ones on a small batch.
 * Source: the port in git-disl/Booster, `VlguardTrainer`, of Zong et al., arXiv 2402.02207;
 * docs/methods/vlguard.md compares them.
 */
export const vlguard = method({
  name: "vlguard",
  label: "VLGuard",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { lambda: 0 },
  tried: [{ lambda: 5 }, { lambda: 0.1 }, { lambda: 0.5 }, { lambda: 1 }],
  create: ({ lambda, safetyBatchSize }) => ({
    passes: { forward: 2, backward: 2 },
    schedule: { batchSizes: { alignment: safetyBatchSize } },
    step({ weights, loss }) {
      const user = valueAndGrad((w) => loss(w, "user"))(weights);
      const safety = valueAndGrad((w) => loss(w, "alignment"))(weights);
      return {
        gradient: tree.step(user.grad, safety.grad, lambda),
        metrics: {
          loss: ops.add(user.value, ops.mul(safety.value, lambda)),
          userLoss: user.value,
          alignmentLoss: safety.value,
        },
      };
    },
  }),
});
