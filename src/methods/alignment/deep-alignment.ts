import { z } from "zod";
import { ops, type Tensor, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { RandomStream } from "../../tensor/random.ts";
import { method, type StepContext } from "../method.ts";
import { lateRefusals } from "./deep-augmentation.ts";

const options = z.strictObject({
  mode: z
    .enum(["paper", "reference"])
    .default("reference")
    .describe(
      "weigh the mean losses of refusals and anchors by alpha, or, as the authors' code does, pool their tokens",
    ),
  alpha: z.number().min(0).max(1).default(0.2).describe("weight of the refusals in mode paper (the paper's α)"),
  refusals: z.int().positive().default(16).describe("refusals of a step"),
  anchors: z.int().positive().default(64).describe("harmless rows of a step, which keep what the model can do"),
});

/**
 * Deep safety alignment: refusals that come only after the first tokens of a harmful answer, beside harmless anchors.
 *
 *     paper       L = α f(w) + (1 - α) u(w)        f the mean loss of late refusals, u that of anchors
 *     reference   L = the mean over the tokens of both
 *
 * Which refusals come late, and how late, is drawn for each use: `lateRefusals`. Two forward and two backward passes.
 * Source: Qi et al., arXiv 2406.05946, equation 2; docs/methods/deep-alignment.md compares it with the authors' code.
 */
export const deepAlignment = method({
  name: "deep-alignment",
  label: "Deep alignment",
  stage: "align",
  streams: ["alignment", "general", "harmful"],
  options,
  trial: { refusals: 3, anchors: 4 },
  tried: [4, 8, 16, 32].map((refusals) => ({ refusals, anchors: 16 })),
  create: ({ mode, alpha, refusals, anchors }) => ({
    passes: { forward: 2, backward: 2 },
    schedule: {
      batchSizes: { alignment: refusals, general: anchors },
      readers: (rows, seed) => ({
        alignment: lateRefusals(rows.alignment ?? [], rows.harmful ?? [], new RandomStream(seed, "late-refusals")),
      }),
    },
    step(context) {
      const parts: Record<string, Tensor> = {};
      const { value, grad } = valueAndGrad((w) => {
        const refused = countedLoss(context, w, "alignment");
        const anchored = countedLoss(context, w, "general");
        Object.assign(parts, { refusalLoss: refused.loss, anchorLoss: anchored.loss });
        const share =
          mode === "paper"
            ? ops.constant(alpha, refused.loss.dtype)
            : ops.div(refused.tokens, ops.add(refused.tokens, anchored.tokens));
        return ops.add(ops.mul(refused.loss, share), ops.mul(anchored.loss, ops.sub(1, share)));
      })(context.weights);
      return { gradient: grad, metrics: { loss: value, ...parts } };
    },
  }),
});

/** A stream's mean loss, and the number of tokens that it is the mean of. */
function countedLoss({ loss }: StepContext, weights: Tree, stream: string) {
  let tokens: Tensor | undefined;
  const value = loss(weights, stream, {
    weigh({ shares }) {
      tokens = ops.sum(ops.sign(shares));
      return shares;
    },
  });
  return { loss: value, tokens: tokens as Tensor };
}
