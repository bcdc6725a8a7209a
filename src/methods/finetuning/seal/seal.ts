import { z } from "zod";
import { dim, ops, type Tensor, valueAndGrad } from "../../../autodiff/index.ts";
import type { LabelledTokens } from "../../../models/index.ts";
import { adamW } from "../../../optim/index.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { INNER_STATE, innerAdamW } from "../../inner-adamw.ts";
import { method, type Outcome, type StepContext } from "../../method.ts";
import { copy, memory, type StateFacts, scalar } from "../../state.ts";
import { ACTIVATIONS, keepBest, rowLosses, rowShares, rowWeights, selectorStep } from "./selector.ts";

const { add, gather, mul, sub, sum } = ops;

const options = z.strictObject({
  mode: z
    .enum(["reference", "twoModel"])
    .default("reference")
    .describe(
      "selector follows the losses of the one model, or their excess over a second one trained on user rows alone",
    ),
  activation: z.enum(ACTIVATIONS).default("softmax").describe("how logits of rows become their weights"),
  topp: z.number().positive().max(1).default(0.8).describe("share of the user's rows that is kept"),
  selectorEpochs: z.int().min(1).default(3).describe("epochs over the user's rows in which their logits are learned"),
  gamma: z.number().min(0).max(1).default(1).describe("weight of the safe loss in the first of these epochs"),
  gammaStep: z.number().min(0).default(0.03).describe("by how much it falls from epoch to epoch"),
  selectorRate: z.number().min(0).default(0.005).describe("learning rate of the logits"),
  selectorClip: z.number().positive().default(10).describe("largest norm of their gradient"),
  secondRate: z.number().min(0).default(1e-5).describe("learning rate of the second model"),
});
export type SealOptions = z.infer<typeof options>;

/** Of the selector's AdamW, as in the authors' code. */
const BETAS = { beta1: 0.9, beta2: 0.95 };
/** Where logits begin, as in the authors' code. */
const START = { softmax: 0.1, sigmoid: -1e-4 };

const each = ({ rows }: StateFacts) => [rows.user ?? 0];
const stateOf = ({ mode, activation }: SealOptions) => ({
  initial: copy("weights"),
  omega: memory(each, START[activation]),
  omegaFirst: memory(each),
  omegaSecond: memory(each),
  omegaCorrection1: scalar(),
  omegaCorrection2: scalar(),
  userLoss: scalar(),
  kept: memory(each, 1),
  ...(mode === "twoModel" ? { second: copy("weights"), ...INNER_STATE } : {}),
});
type SealState = ReturnType<typeof stateOf>;

/** Weight of the safe loss in an epoch, counted from 0. */
export const gammaAt = (epoch: number, { gamma, gammaStep }: Pick<SealOptions, "gamma" | "gammaStep">): number =>
  Math.max(0, gamma - gammaStep * epoch);

/**
 * SEAL: a weight for each of the user's rows, learned so that training on the weighted rows keeps the safe loss low; then SFT on the
 * best ones, from the weights at the start.
 *
 *     for selectorEpochs:  p = N softmax(ω)                                         one logit a row
 *                          w <- w - η ∇ [γ mean l_S + (1 - γ) mean(p_U l_U)]        p constant
 *                          ω <- ω - η_ω ∇_ω mean(p_U l_U)                           l_U constant, of the same forward pass
 *     keep the topp N rows of the highest ω;  w <- w_0;  SFT on the kept rows
 *
 * l are mean token losses of rows, S safe rows and U the user's. `twoModel` takes `l_U(w) - l_U(w')` for ω, w' a second model
 * trained on `mean(p_U l_U)`. Two forward and two backward passes a step while ω is learned (`twoModel` three), one of each after.
 * Source: Shen, Chen, Das, Chen, arXiv 2410.07471, Algorithms 1 (`twoModel`) and 2;
 * docs/methods/seal.md compares it with the authors' code.
 */
export const seal = method({
  name: "seal",
  label: "SEAL",
  stage: "finetune",
  streams: ["user", "alignment"],
  options,
  trial: { mode: "twoModel", selectorEpochs: 1, secondRate: 1e-2 },
  tried: [0.5, 0.7, 0.8, 0.9].map((topp) => ({ topp, selectorRate: 0.1 })),
  state: stateOf,
  create: (chosen) => ({
    // Of a run with as many steps for ω as for the weights.
    passes: chosen.mode === "twoModel" ? { forward: 2, backward: 2 } : { forward: 1.5, backward: 1.5 },
    step({ weights, state, inputs, loss }) {
      let share: Tensor | undefined;
      const { value, grad } = valueAndGrad((w) =>
        loss(w, "user", {
          weigh({ shares, row }) {
            const kept = mul(shares, gather(gather(state.kept, inputs.index as Tensor), row));
            share = sum(kept);
            // A batch without a kept row has no loss, rather than none that is a number.
            return ops.div(kept, ops.where(ops.less(0, share), share, 1));
          },
        }),
      )(weights);
      return { gradient: grad, metrics: { loss: value, keptShare: share as Tensor } };
    },
    programs: {
      select: (context) => select(context, chosen),
      choose: (context) => keep(context, chosen.topp),
    },
    schedule: {
      inputs: () => ({
        index: { dtype: "int32", shape: [dim("seal.rows")] },
        gamma: { dtype: "float32", shape: [] },
      }),
      extraSteps: ({ stepsPerEpoch }) => chosen.selectorEpochs * stepsPerEpoch + 1,
      calls(step, { stepsPerEpoch, batch }) {
        const before = chosen.selectorEpochs * stepsPerEpoch;
        // A step of its own: taken back together with a training step that is not finite, the choice would be lost.
        if (step === before) return [{ program: "choose" }];
        const selecting = step < before;
        const n = selecting ? step : step - before - 1;
        const rows = { user: batch("user", n), alignment: batch("alignment", n) };
        const inputs = () => ({
          index: tensor("int32", [rows.user.length], rows.user),
          gamma: tensor("float32", [], [gammaAt(Math.floor(n / stepsPerEpoch), chosen)]),
        });
        return [{ program: selecting ? "select" : "step", rows, inputs }];
      },
    },
  }),
});

/** Weights of tokens in `mean over rows of factor * mean token loss`; factors `[rows]`. */
const byRow = (tokens: LabelledTokens, factors: Tensor): Tensor =>
  ops.div(mul(rowShares(tokens), gather(factors, tokens.row)), ops.dimSize(factors.dim(0), factors.dtype));

/** Loss and gradient of the model while ω is learned, and the losses of each row. */
export function bilevelLoss({ weights, loss, padded }: StepContext, p: Tensor, gamma: Tensor) {
  const safeRows = padded("alignment").ids.dim(0);
  const seen: { safe?: Tensor; user?: Tensor } = {};
  const { value, grad } = valueAndGrad((w) => {
    const safe = loss(w, "alignment", {
      weigh(tokens) {
        seen.safe = rowLosses(tokens, safeRows);
        return byRow(tokens, ops.expand(ops.constant(1, tokens.shares.dtype), [safeRows]));
      },
    });
    const user = loss(w, "user", {
      weigh(tokens) {
        seen.user = rowLosses(tokens, p.dim(0));
        return byRow(tokens, p);
      },
    });
    return add(mul(safe, gamma), mul(user, sub(1, gamma)));
  })(weights);
  return { value, grad, safeLosses: seen.safe as Tensor, userLosses: seen.user as Tensor };
}

/** One step of the model and one of ω. */
function select(context: StepContext<SealState>, chosen: SealOptions): Outcome<SealState> {
  const { state, inputs } = context;
  const index = inputs.index as Tensor;
  const omega = state.omega;
  const p = gather(rowWeights(omega, chosen.activation), index);
  const { value, grad, safeLosses, userLosses } = bilevelLoss(context, p, inputs.gamma as Tensor);
  const second = chosen.mode === "twoModel" ? secondModel(context, p, chosen.secondRate) : undefined;
  const selector = selectorStep(
    {
      omega,
      index,
      losses: second === undefined ? userLosses : sub(userLosses, second.losses),
      activation: chosen.activation,
      state: {
        firstMoment: state.omegaFirst,
        secondMoment: state.omegaSecond,
        correction1: state.omegaCorrection1,
        correction2: state.omegaCorrection2,
      },
      learningRate: ops.constant(chosen.selectorRate, omega.dtype),
      clip: chosen.selectorClip,
    },
    adamW(BETAS),
  );
  const { firstMoment, secondMoment, correction1, correction2 } = selector.state as Record<string, Tensor> &
    Record<"firstMoment" | "secondMoment" | "correction1" | "correction2", Tensor>;
  const userLoss = ops.mean(userLosses);
  return {
    gradient: grad,
    state: {
      omega: selector.weights,
      omegaFirst: firstMoment,
      omegaSecond: secondMoment,
      omegaCorrection1: correction1,
      omegaCorrection2: correction2,
      userLoss,
      ...second?.state,
    },
    metrics: {
      loss: value,
      safeLoss: ops.mean(safeLosses),
      userLoss,
      selectorLoss: selector.value,
    },
  };
}

/** A step of the second model on the weighted rows of the user alone, and their losses before it. */
function secondModel({ state, loss }: StepContext<SealState>, p: Tensor, rate: number) {
  const own = state as Required<typeof state>;
  const weights = own.second;
  let losses: Tensor | undefined;
  const { grad } = valueAndGrad((w) =>
    loss(w, "user", {
      weigh(tokens) {
        losses = rowLosses(tokens, p.dim(0));
        return byRow(tokens, p);
      },
    }),
  )(weights);
  const given = { weights, gradient: grad, state: own, learningRate: ops.constant(rate, p.dtype) };
  const next = innerAdamW(given, BETAS);
  return { losses: losses as Tensor, state: { ...next.state, second: next.weights } };
}

/** Keeps the best rows, and begins again from the weights at the start. The loss is that of the step before. */
function keep({ state: { omega, initial, userLoss } }: StepContext<SealState>, topp: number): Outcome<SealState> {
  const count = Math.max(1, Math.trunc(topp * (omega.dim(0) as number)));
  return { weights: initial, restart: true, state: { kept: keepBest(omega, count) }, metrics: { loss: userLoss } };
}
