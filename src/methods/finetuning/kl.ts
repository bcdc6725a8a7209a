import { z } from "zod";
import { ops, product, type Tensor, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { IGNORE, type PaddedBatch, paddedStates } from "../../models/index.ts";
import { method, type StepContext } from "../method.ts";
import { copy } from "../state.ts";

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
 * Two forward passes and one backward pass, the loss being read off the logits of every position; a few
 * `[batch, time, vocabulary]` buffers.
 * Source: git-disl/Vaccine, `KLTrainer`; a baseline of arXiv 2402.01109; docs/methods/kl.md compares it.
 */
export const kl = method({
  name: "kl",
  label: "KL",
  stage: "finetune",
  streams: ["user"],
  options,
  limit: { lambda: 0 },
  tried: [{ lambda: 0.1 }, { lambda: 0.001 }, { lambda: 1 }, { lambda: 10 }],
  state: { teacher: copy("weights") },
  create: ({ lambda, softmax }) => ({
    passes: { forward: 2, backward: 1 },
    step(context) {
      const axis = AXES[softmax];
      const logQ = logSoftmax(logitsOf(context, context.state.teacher), axis);
      const q = ops.exp(logQ);
      const parts: Record<string, Tensor> = {};
      const { value, grad } = valueAndGrad((w) => {
        // All logits cost more than the labelled ones, and round differently: not where they are for nothing.
        if (lambda === 0) return context.loss(w, "user");
        const logits = logitsOf(context, w);
        const userLoss = nextTokenLoss(logSoftmax(logits, AXES.vocabulary), context.padded("user"));
        const divergence = ops.mean(ops.sum(ops.mul(q, ops.sub(logQ, logSoftmax(logits, axis))), { axes: [1, 2] }));
        Object.assign(parts, { userLoss, divergence });
        return ops.add(userLoss, ops.mul(divergence, lambda));
      })(context.weights);
      return { gradient: grad, metrics: { loss: value, ...parts } };
    },
  }),
});

/** `[batch, time, vocabulary]` */
function logitsOf({ model, params, padded }: StepContext, w: Tree): Tensor {
  const [weights, batch] = [params(w), padded("user")];
  const logits = weights.logits(paddedStates(model, weights, batch));
  return ops.reshape(logits, [...batch.ids.shape, model.vocabSize]);
}

function logSoftmax(logits: Tensor, axis: 1 | 2): Tensor {
  const along = { axes: [axis], keepDims: true };
  const shifted = ops.sub(logits, ops.stopGradient(ops.max(logits, along)));
  return ops.sub(shifted, ops.log(ops.sum(ops.exp(shifted), along)));
}

/** The label of the token after each position, `[batch * time]`; -100 at the end of a row. */
export function labelsAfter({ labels }: Pick<PaddedBatch, "labels">): Tensor {
  const [batch, time] = [labels.dim(0), labels.dim(1)];
  const cells = ops.range(product(batch, time));
  const column = ops.expand(ops.reshape(ops.range(time), [1, time]), [batch, time]);
  const isLast = ops.equal(ops.reshape(column, [cells.dim(0)]), ops.sub(ops.dimSize(time, "int32"), 1));
  const after = ops.gather(ops.reshape(labels, [cells.dim(0)]), ops.where(isLast, 0, ops.add(cells, 1)));
  return ops.where(isLast, IGNORE, after);
}

/** Mean loss of the labelled tokens, each read off the log-probabilities `[batch, time, vocabulary]` of the position before it. */
function nextTokenLoss(logP: Tensor, batch: PaddedBatch): Tensor {
  const label = labelsAfter(batch);
  const isLearned = ops.where(ops.equal(label, IGNORE), ops.constant(0, logP.dtype), 1);
  const chosen = ops.take(ops.reshape(logP, [label.dim(0), logP.dim(2)]), ops.maximum(label, 0));
  return ops.neg(ops.div(ops.sum(ops.mul(chosen, isLearned)), ops.sum(isLearned)));
}
