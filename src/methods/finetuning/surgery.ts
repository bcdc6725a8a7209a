import { z } from "zod";
import { ops, product, type Tensor, type Tree, valueAndGrad } from "../../autodiff/index.ts";
import { within } from "../../models/index.ts";
import { method, type StepContext } from "../method.ts";
import { average } from "../sums.ts";

const options = z.strictObject({
  alpha: z.number().min(0).default(300).describe("weight of the sink divergence (the paper's α)"),
  rows: z
    .int()
    .positive()
    .default(1)
    .describe("harmful and safe rows of a step, from which the divergence is measured"),
});

/**
 * Surgery: heads whose attention falls on the first token more when they read harmful rows than when they read safe ones are held back.
 *
 *     s_lh(x) = mean over queries after the first of the attention of head h in layer l on the first token
 *     G = ∇ [g(w) + α mean over heads of max(0, s_lh(harmful) - s_lh(safe))]
 *
 * The attention on a token is what attention makes of values that are 1 there and 0 elsewhere, so windows, caps and shared heads are the
 * model's own. α = 0 is SFT. Three forward and three backward passes, two of them on a row each.
 * Source: Liu et al., arXiv 2602.05228; docs/methods/surgery.md compares it with the authors' code.
 */
export const surgery = method({
  name: "surgery",
  label: "Surgery",
  stage: "finetune",
  streams: ["user", "harmful", "alignment"],
  options,
  limit: { alpha: 0 },
  tried: [{ alpha: 300 }, { alpha: 10 }, { alpha: 30 }, { alpha: 100 }].map((each) => ({ ...each, rows: 4 })),
  create: ({ alpha, rows }) => ({
    passes: { forward: 3, backward: 3 },
    schedule: { batchSizes: { harmful: rows, alignment: rows } },
    step(context) {
      const { weights, loss } = context;
      const parts: Record<string, Tensor> = {};
      const { value, grad } = valueAndGrad((w) => {
        const userLoss = loss(w, "user");
        if (alpha === 0) return userLoss;
        const [harmful, safe] = [sinkShares(context, w, "harmful"), sinkShares(context, w, "alignment")];
        const divergence = average(
          harmful.map((share, layer) => ops.mean(ops.maximum(ops.sub(share, safe[layer] as Tensor), 0))),
        );
        Object.assign(parts, { userLoss, sinkDivergence: divergence });
        return ops.add(userLoss, ops.mul(divergence, alpha));
      })(weights);
      return { gradient: grad, metrics: { loss: value, ...parts } };
    },
  }),
});

/** For each layer how much of each head's attention falls on the first token, in the mean of later queries: `[heads]`. */
export function sinkShares(
  { model, params, padded }: Pick<StepContext, "model" | "params" | "padded">,
  weights: Tree,
  stream: string,
): Tensor[] {
  const all = params(weights);
  const { ids, mask } = padded(stream);
  const [batch, time] = [ids.dim(0), ids.dim(1)];
  const tokens = product(batch, time);
  const column = ops.reshape(ops.expand(ops.reshape(ops.range(time), [1, time]), ids.shape), [tokens]);
  const where = within(model, all, { column, grid: [batch, time], keys: mask });
  const counted = ops.where(ops.less(0, ops.mul(column, ops.reshape(mask, [tokens]))), ops.constant(1, all.dtype), 0);
  const share = ops.reshape(ops.div(counted, ops.sum(counted)), [tokens, 1]);
  const shares: Tensor[] = [];
  model.hidden({
    weights: all,
    ids: ops.reshape(ids, [tokens]),
    where: {
      ...where,
      attend(layer, q, k, v) {
        const first = ops.where(ops.less(column, 1), ops.constant(1, v.dtype), 0);
        const onFirst = where.attend(layer, q, k, ops.expand(ops.reshape(first, [tokens, 1]), v.shape));
        const width = (onFirst.dim(1) as number) / model.heads;
        const summed = ops.reshape(ops.sum(ops.mul(onFirst, share), { axes: [0] }), [model.heads, width]);
        shares[layer] = ops.mean(summed, { axes: [1] });
        return where.attend(layer, q, k, v);
      },
    },
  });
  return shares;
}
