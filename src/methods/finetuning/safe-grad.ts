import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { IGNORE, paddedStates } from "../../models/index.ts";
import { method, type StepContext } from "../method.ts";
import { copy } from "../state.ts";
import { total } from "../sums.ts";
import { labelsAfter } from "./kl.ts";

const options = z.strictObject({
  lambda: z.number().min(0).default(1).describe("weight of the safety gradient that is added (the paper's ρ)"),
  safety: z
    .enum(["divergence", "refusals"])
    .default("divergence")
    .describe("what safety is: what the model said at the start on the defender's rows, or the loss on their answers"),
  safetyBatchSize: z.int().positive().default(10).describe("the defender's rows of a step"),
  project: z.boolean().default(true).describe("take the conflicting part out of the user's gradient"),
});

/**
 * SafeGrad: of the user's gradient the part that works against safety is taken out, and the safety gradient added.
 *
 *     s = ∇ KL(π_0 ‖ π) over the answers' places of a batch of the defender's rows, π_0 the model at the start
 *     u = ∇g(w);  where u · s < 0:  u <- u - (u · s / ‖s‖²) s
 *     G = u + λ s
 *
 * One product over all weights. λ = 0 without projection is SFT. Three forward and two backward passes.
 * Source: Yi et al., arXiv 2508.07172; docs/methods/safe-grad.md tells what is ours.
 */
export const safeGrad = method({
  name: "safe-grad",
  label: "SafeGrad",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  limit: { lambda: 0, project: false },
  tried: [{ lambda: 1 }, { lambda: 0.3 }, { lambda: 3 }, { lambda: 10 }],
  state: { reference: copy("weights") },
  create: ({ lambda, safety, safetyBatchSize, project }) => ({
    passes: { forward: 3, backward: 2 },
    schedule: { batchSizes: { alignment: safetyBatchSize } },
    step(context) {
      const { weights, loss } = context;
      const user = valueAndGrad((w) => loss(w, "user"))(weights);
      const kept = valueAndGrad((w) =>
        safety === "refusals" ? loss(w, "alignment") : divergence(context, w, context.state.reference),
      )(weights);
      const product = inner(user.grad, kept.grad);
      return {
        gradient: tree.step(project ? withoutConflict(user.grad, kept.grad) : user.grad, kept.grad, lambda),
        metrics: { loss: user.value, safetyLoss: kept.value, gradientProduct: product },
      };
    },
  }),
});

const inner = (a: Tree, b: Tree): Tensor =>
  total(Object.entries(a).map(([name, x]) => ops.sum(ops.mul(x, b[name] as Tensor))));

/** `u - min(0, u · s / ‖s‖²) s`: afterwards `u · s` is not below 0. */
export function withoutConflict(u: Tree, s: Tree): Tree {
  const square = inner(s, s);
  const share = ops.div(inner(u, s), ops.where(ops.less(0, square), square, 1));
  return tree.step(u, s, ops.neg(ops.minimum(share, 0)));
}

/** `KL(π_0 ‖ π)` in the mean of the places before the answers' tokens of the batch. */
function divergence({ model, params, padded }: StepContext, weights: Tree, reference: Tree): Tensor {
  const batch = padded("alignment");
  const logProbabilities = (at: Tree) => {
    const all = params(at);
    const logits = all.logits(paddedStates(model, all, batch));
    const shifted = ops.sub(logits, ops.stopGradient(ops.max(logits, { axes: [1], keepDims: true })));
    return ops.sub(shifted, ops.log(ops.sum(ops.exp(shifted), { axes: [1], keepDims: true })));
  };
  const before = logProbabilities(reference);
  const each = ops.sum(ops.mul(ops.exp(before), ops.sub(before, logProbabilities(weights))), { axes: [1] });
  const counted = ops.where(ops.equal(labelsAfter(batch), IGNORE), ops.constant(0, each.dtype), 1);
  return ops.div(ops.sum(ops.mul(each, counted)), ops.sum(counted));
}
