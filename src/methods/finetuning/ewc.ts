import { z } from "zod";
import { ops, tree, valueAndGrad } from "../../autodiff/index.ts";
import { squaredDistance } from "../distance.ts";
import { method } from "../method.ts";
import { copy } from "../state.ts";
import { fisherInformation } from "./fisher.ts";

const options = z.strictObject({
  lambda: z.number().min(0).default(1e9).describe("weight of the penalty (the paper's λ); F is a sum of tiny squares"),
  fisherBatchSize: z.int().min(1).default(5).describe("alignment rows whose mean gradient is squared at a time"),
});

/**
 * EWC: `minimise g(w) + λ Σ_i F_i (w_i - w0_i)²`, g the loss on the user's data, w0 the weights at the start.
 *
 *     F = Σ_b (∇f_b(w0))²      over the batches b of the alignment rows, in file order, once, before the first step
 *
 * F is the empirical Fisher information by batches: a sum, not a mean, of squared batch gradients. It is 0 where the
 * gradient is, so a fresh LoRA's A is free. λ = 0 is SFT. One forward and one backward pass, and before them one pass
 * over the alignment rows.
 * Source: Kirkpatrick et al., arXiv 1612.00796, as used in arXiv 2402.01109;
 * docs/methods/ewc.md compares it with that code.
 */
export const ewc = method({
  name: "ewc",
  label: "EWC",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { lambda: 0 },
  trial: { lambda: 1, fisherBatchSize: 3 },
  tried: [{ lambda: 1e3 }, { lambda: 1e5 }, { lambda: 1e7 }, { lambda: 1e9 }],
  state: { anchor: copy("weights"), fisher: copy("zeros") },
  create: ({ lambda, fisherBatchSize }) => ({
    passes: { forward: 1, backward: 1 },
    prepare: async (preparation) => ({
      state: { fisher: await fisherInformation(preparation, "alignment", fisherBatchSize) },
    }),
    step({ weights, loss, state: { anchor, fisher } }) {
      const user = valueAndGrad((w) => loss(w, "user"))(weights);
      const penalty = valueAndGrad((w) => ops.mul(squaredDistance(w, anchor, fisher), lambda))(weights);
      return {
        gradient: tree.add(user.grad, penalty.grad),
        metrics: { loss: ops.add(user.value, penalty.value), userLoss: user.value, penalty: penalty.value },
      };
    },
  }),
});
