import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { paddedStates } from "../../models/index.ts";
import { weight } from "../../nn/index.ts";
import type { Method, StepContext } from "../method.ts";

const options = z.strictObject({
  lambda: z.number().min(0).default(0.001).describe("weight of the divergence (the paper's λ)"),
  softmax: z
    .enum(["vocabulary", "time"])
    .default("vocabulary")
    .describe("what a distribution runs over: all tokens, or, an error of the authors' code, all positions of a row"),
});

/** Axis of logits `[batch, time, vocabulary]`. */
const AXES = { vocabulary: 2, time: 1 } as const;

/**
 * KL: `minimise g(w) + λ/B Σ q (log q - log p)`, g the loss on the user's B rows, p and q what the model says at w and
 * at the start, at every position of these rows.
 *
 * Prompts count, and padding too: a padding position is one more place at which the model must not change. λ = 0 is SFT.
 * Three forward and two backward passes; two `[batch, time, vocabulary]` buffers.
 * Source: git-disl/Vaccine, `KLTrainer`; a baseline of arXiv 2402.01109; PAPERS.md compares it.
 */
export const kl: Method<z.infer<typeof options>> = {
  name: "kl",
  stage: "fine-tuning",
  streams: ["user"],
  options,
  passes: () => ({ forward: 3, backward: 2 }),
  copies: () => ({ teacher: "weights" }),
  step(context, { lambda, softmax }) {
    const { weights, loss, copies } = context;
    const logQ = logProbabilities(context, copies.teacher as Tree, AXES[softmax]);
    const q = ops.exp(logQ);
    const divergence = (w: Tree): Tensor => {
      const logP = logProbabilities(context, w, AXES[softmax]);
      return ops.mean(ops.sum(ops.mul(q, ops.sub(logQ, logP)), { axes: [1, 2] }));
    };
    const user = valueAndGrad((w) => loss(w, "user"))(weights);
    const kept = valueAndGrad(divergence)(weights);
    return {
      gradient: tree.step(user.grad, kept.grad, lambda),
      metrics: { loss: ops.add(user.value, ops.mul(kept.value, lambda)), userLoss: user.value, divergence: kept.value },
    };
  },
};

/** `[batch, time, vocabulary]`, normalised along an axis. */
function logProbabilities({ model, params, padded, loraScale }: StepContext, w: Tree, axis: 1 | 2): Tensor {
  const batch = padded("user");
  const hidden = paddedStates(model, params(w), batch, { loraScale });
  const flat = ops.matmul(hidden, weight(params(w), model.head), { transB: true });
  const logits = ops.reshape(flat, [...batch.ids.shape, model.vocabSize]);
  const along = { axes: [axis], keepDims: true };
  const shifted = ops.sub(logits, ops.stopGradient(ops.max(logits, along)));
  return ops.sub(shifted, ops.log(ops.sum(ops.exp(shifted), along)));
}
