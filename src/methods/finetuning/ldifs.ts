import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { BoosterError } from "../../errors.ts";
import { paddedStates } from "../../models/index.ts";
import { clipByNorm } from "../../optim/index.ts";
import type { Method, StepContext } from "../method.ts";

const options = z.strictObject({
  variant: z
    .enum(["paper", "paper-code", "disl"])
    .default("paper")
    .describe(
      "features: of five depths, normed over channels (paper) or, as the authors' code does, over tokens (paper-code); or every MLP output as it is (disl)",
    ),
  alpha: z.number().min(0).default(10).describe("weight of the distance, variants paper and paper-code (their α)"),
  rho: z.number().min(0).default(1e-4).describe("weight of the squared distance of a layer, variant disl (its ρ)"),
  threshold: z.number().positive().default(0.1).describe("a layer further away than this is let go, variant disl"),
  innerClip: z
    .number()
    .positive()
    .default(5)
    .describe("largest gradient norm ahead of the trainer's own, variant disl"),
});
type LdifsOptions = z.infer<typeof options>;

/** Parts of the depth after which the paper looks at the stream, beside the embedding. */
const DEPTHS = [0.25, 0.5, 0.75, 1];
const NORM_FLOOR = 1e-10;
/** Keeps the slope of a root at 0 finite; far below `NORM_FLOOR` squared. */
const TINY = 1e-30;

/**
 * LDIFS: `minimise g(w) + distance of the features at w from those of the frozen start`, both on the user's batch.
 *
 *     paper:  α mean over depths, rows, tokens and channels of (F/‖F‖ - F0/‖F0‖)²
 *             F the stream at the embedding and after 1/4, 1/2, 3/4 and all of the blocks, ‖·‖ per token
 *     disl:   Σ_l d_l over the layers with d_l < threshold, d_l = ρ/2 ‖a_l - a0_l‖²
 *             a the MLP's output at every position, padding too; then ‖G‖ is cut to `innerClip`
 *
 * The distance begins at 0. α = 0 and ρ = 0 are SFT. Three forward and two backward passes: the loss reads labelled rows
 * alone, the features every position.
 * Source: Mukhoti et al., arXiv 2308.13320 (images; carried over to text here), and git-disl/Booster, `LDIFSTrainer`
 * (`disl`); PAPERS.md compares them.
 */
export const ldifs: Method<LdifsOptions> = {
  name: "ldifs",
  stage: "fine-tuning",
  streams: ["user"],
  options,
  passes: () => ({ forward: 3, backward: 2 }),
  copies: () => ({ reference: "weights" }),
  step(context, chosen) {
    const { weights, loss, copies } = context;
    const distanceFrom = chosen.variant === "disl" ? layerDistance : depthDistance;
    const distance = distanceFrom(context, copies.reference as Tree, chosen);
    const user = valueAndGrad((w) => loss(w, "user"))(weights);
    const kept = valueAndGrad(distance)(weights);
    const gradient = tree.add(user.grad, kept.grad);
    const norm = tree.globalNorm(gradient);
    return {
      gradient:
        chosen.variant === "disl" ? tree.mapTree(gradient, (x) => clipByNorm(x, norm, chosen.innerClip)) : gradient,
      metrics: { loss: ops.add(user.value, kept.value), userLoss: user.value, penalty: kept.value },
    };
  },
};

/**
 * What the chosen modules put out, `[batch * time, hidden]` each, in the order of the model.
 *
 * @throws {BoosterError} `NOTHING_OBSERVED` when the model has none of them
 */
function outputs(context: StepContext, w: Tree, chosen: (module: string) => boolean): Tensor[] {
  const { model, params, padded, loraScale } = context;
  const found: Tensor[] = [];
  paddedStates(model, params(w), padded("user"), {
    loraScale,
    tap(module, x) {
      if (chosen(module)) found.push(x);
      return x;
    },
  });
  if (found.length > 0) return found;
  throw new BoosterError("NOTHING_OBSERVED", "the model has no module whose output LDIFS compares", {
    found: `${model.architecture}, ${model.layers} layers`,
    hint: "Choose another variant.",
  });
}

const total = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => ops.add(a, b));

const squares = (x: Tensor, y: Tensor): Tensor => {
  const change = ops.sub(x, y);
  return ops.mul(change, change);
};

function layerDistance(context: StepContext, start: Tree, { rho, threshold }: LdifsOptions): (w: Tree) => Tensor {
  const features = (w: Tree) => outputs(context, w, (module) => module.endsWith(".mlp"));
  const reference = features(start);
  return (w) =>
    total(
      features(w).map((a, layer) => {
        const d = ops.mul(ops.sum(squares(a, reference[layer] as Tensor)), rho / 2);
        return ops.where(ops.less(d, threshold), d, 0);
      }),
    );
}

function depthDistance(context: StepContext, start: Tree, { alpha, variant }: LdifsOptions): (w: Tree) => Tensor {
  const { model, padded } = context;
  const { mask } = padded("user");
  const [batch, time] = [mask.dim(0), mask.dim(1)];
  const features = (w: Tree) => {
    const [embedding, ...blocks] = outputs(context, w, (module) => /embed_tokens$|\.\d+$/.test(module));
    const after = new Set(DEPTHS.map((part) => Math.ceil(part * model.layers) - 1));
    return [embedding, ...[...after].map((block) => blocks[block])].map((x) => {
      const real = ops.cast(mask, (x as Tensor).dtype);
      const F = ops.mul(ops.reshape(x as Tensor, [batch, time, model.hiddenSize]), ops.reshape(real, [batch, time, 1]));
      const length = ops.sum(ops.mul(F, F), { axes: [variant === "paper" ? 2 : 1], keepDims: true });
      return ops.div(F, ops.add(ops.sqrt(ops.maximum(length, TINY)), NORM_FLOOR));
    });
  };
  const reference = features(start);
  return (w) => {
    const depths = features(w).map((F, depth) => {
      const change = ops.sum(squares(F, reference[depth] as Tensor), { axes: [1, 2] });
      const tokens = ops.sum(ops.cast(mask, F.dtype), { axes: [1] });
      return ops.mean(ops.div(change, ops.mul(tokens, model.hiddenSize)));
    });
    return ops.mul(total(depths), alpha / depths.length);
  };
}
