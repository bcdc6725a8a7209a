import { z } from "zod";
import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../autodiff/index.ts";
import { outputsAt, type Place } from "../../models/index.ts";
import { clipByNorm } from "../../optim/index.ts";
import { method, type StepContext } from "../method.ts";
import { copy } from "../state.ts";
import { total } from "../sums.ts";

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

const STATE = { reference: copy("weights") };

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
 * The distance begins at 0. α = 0 and ρ = 0 are SFT. Two forward passes and one backward pass: loss and features come
 * from one pass over every position, the start's features from another.
 * Source: Mukhoti et al., arXiv 2308.13320 (images; carried over to text here), and git-disl/Booster, `LDIFSTrainer`
 * (`disl`); docs/methods/ldifs.md compares them.
 */
export const ldifs = method({
  name: "ldifs",
  label: "LDIFS",
  stage: "finetune",
  streams: ["user"],
  options,
  limit: { alpha: 0 },
  tried: [{ alpha: 1 }, { alpha: 10 }, { alpha: 100 }, { alpha: 1000 }],
  state: STATE,
  create(chosen) {
    const isDisl = chosen.variant === "disl";
    return {
      passes: { forward: 2, backward: 1 },
      step(context) {
        const penaltyOf = isDisl ? layerDistance(context, chosen) : depthDistance(context, chosen);
        const parts: Record<string, Tensor> = {};
        const { value, grad } = valueAndGrad((w) => {
          // Every position costs more than the labelled ones, and rounds differently: not where it is for nothing.
          if ((isDisl ? chosen.rho : chosen.alpha) === 0) return context.loss(w, "user");
          const { value: loss, outputs } = lookInto(context, w, isDisl ? MLPS : STREAM);
          const penalty = penaltyOf(outputs);
          Object.assign(parts, { userLoss: loss, penalty });
          return ops.add(loss, penalty);
        })(context.weights);
        const norm = tree.globalNorm(grad);
        return {
          gradient: isDisl ? tree.mapTree(grad, (x) => clipByNorm(x, norm, chosen.innerClip)) : grad,
          metrics: { loss: value, ...parts },
        };
      },
    };
  },
});

const MLPS: readonly Place[] = ["feedForward"];
const STREAM: readonly Place[] = ["embedding", "block"];

/** The loss on the user's batch, and what is put out at the chosen places on the way: `[batch * time, hidden]` each. */
const lookInto = ({ loss }: StepContext, w: Tree, chosen: readonly Place[]) =>
  outputsAt(chosen, (tap) => loss(w, "user", { padded: true, tap }));

/** Of the model as it was at the start. */
const startOutputs = (context: StepContext<typeof STATE>, chosen: readonly Place[]): readonly Tensor[] =>
  lookInto(context, context.state.reference, chosen).outputs;

const squares = (x: Tensor, y: Tensor): Tensor => {
  const change = ops.sub(x, y);
  return ops.mul(change, change);
};

type Penalty = (outputs: readonly Tensor[]) => Tensor;

function layerDistance(context: StepContext<typeof STATE>, { rho, threshold }: LdifsOptions): Penalty {
  const reference = startOutputs(context, MLPS);
  return (outputs) =>
    total(
      outputs.map((a, layer) => {
        const d = ops.mul(ops.sum(squares(a, reference[layer] as Tensor)), rho / 2);
        return ops.where(ops.less(d, threshold), d, 0);
      }),
    );
}

function depthDistance(context: StepContext<typeof STATE>, { alpha, variant }: LdifsOptions): Penalty {
  const { model, padded } = context;
  const { mask } = padded("user");
  const [batch, time] = [mask.dim(0), mask.dim(1)];
  const features = ([embedding, ...blocks]: readonly Tensor[]) => {
    const after = new Set(DEPTHS.map((part) => Math.ceil(part * model.layers) - 1));
    return [embedding, ...[...after].map((block) => blocks[block])].map((x) => {
      const real = ops.cast(mask, (x as Tensor).dtype);
      const F = ops.mul(ops.reshape(x as Tensor, [batch, time, model.hiddenSize]), ops.reshape(real, [batch, time, 1]));
      const length = ops.sum(ops.mul(F, F), { axes: [variant === "paper" ? 2 : 1], keepDims: true });
      return ops.div(F, ops.add(ops.sqrt(ops.maximum(length, TINY)), NORM_FLOOR));
    });
  };
  const reference = features(startOutputs(context, STREAM));
  return (outputs) => {
    const depths = features(outputs).map((F, depth) => {
      const change = ops.sum(squares(F, reference[depth] as Tensor), { axes: [1, 2] });
      const tokens = ops.sum(ops.cast(mask, F.dtype), { axes: [1] });
      return ops.mean(ops.div(change, ops.mul(tokens, model.hiddenSize)));
    });
    return ops.mul(total(depths), alpha / depths.length);
  };
}
