import { z } from "zod";
import { ops, type Tensor, valueAndGrad } from "../../autodiff/index.ts";
import { method } from "../method.ts";
import { copy } from "../state.ts";
import { labelledTokens } from "../tokens.ts";

const options = z.strictObject({
  beta: z.number().min(0).default(0.1).describe("strength of the constraint on later answer tokens (the paper's β)"),
  biasLength: z.int().min(0).default(5).describe("answer tokens, from the first on, that are held more tightly"),
  biasFactor: z.number().min(0).default(20).describe("how many times more tightly these are held"),
  firstTokenBiasFactor: z.number().min(0).default(5).describe("the same for the very first answer token"),
});

/**
 * Constrained fine-tuning: `minimise mean over tokens of -(2/β_t) log σ(β_t log(π(y_t) / π_ref(y_t)))`, π_ref the model before
 * fine-tuning. Its gradient is that of the cross-entropy with a weight for each token:
 *
 *     Δ_t = log π_ref(y_t) - log π(y_t)
 *     β_t = firstTokenBiasFactor β, biasFactor β (before biasLength), or β, by place in the answer
 *     w_t = max(1e-3, 2 σ(β_t Δ_t))             constant for the gradient
 *     G   = ∇ mean_t of -w_t log π(y_t)
 *
 * The reference is a copy of the first weights, run again at every step instead of storing its log-probabilities. With β = 0
 * this is SFT. Two forward passes and one backward pass.
 * Source: Qi et al., arXiv 2406.05946, equation 3; Unispac/shallow-vs-deep-alignment, `soft_sft`.
 */
export const constrainedSft = method({
  name: "constrained-sft",
  label: "Constrained SFT",
  stage: "finetune",
  streams: ["user"],
  options,
  advice: ({ warmup, optimizer }) => [
    ...(warmup === 0
      ? ["its paper warms up over 10 steps, since the first ones break the constraint: see warmup"]
      : []),
    ...(optimizer.beta1 === 0.5 ? [] : ["its paper has AdamW with beta1 0.5: see optimizer.beta1"]),
  ],
  limit: { beta: 0 },
  tried: [{ beta: 0.03 }, { beta: 0.1 }, { beta: 0.3 }, { beta: 1 }],
  state: { reference: copy("weights") },
  create: (chosen) => ({
    passes: { forward: 2, backward: 1 },
    step({ weights, state, loss }) {
      const reference = labelledTokens({ loss }, state.reference, "user").logProbability;
      let weighed: Tensor | undefined;
      let plain: Tensor | undefined;
      const { value, grad } = valueAndGrad((w) =>
        loss(w, "user", {
          weigh: (tokens) => {
            const betas = constrainedBetas(tokens.place, chosen, reference.dtype);
            const weight = constrainedWeights(tokens.logProbability, reference, betas);
            weighed = ops.sum(ops.mul(weight, tokens.shares));
            plain = ops.neg(ops.sum(ops.mul(tokens.logProbability, tokens.shares)));
            return ops.mul(weight, tokens.shares);
          },
        }),
      )(weights);
      return {
        gradient: grad,
        metrics: { loss: value, tokenLoss: plain as Tensor, meanTokenWeight: weighed as Tensor },
      };
    },
  }),
});

/** Smallest weight of a token: the loss never lets one go. */
const LEAST = 1e-3;

/** beta by place among the answer's tokens, from 0: int32 `[tokens]` to `[tokens]`. */
export function constrainedBetas(
  place: Tensor,
  { beta, biasLength, biasFactor, firstTokenBiasFactor }: z.infer<typeof options>,
  dtype: Tensor["dtype"] = "float32",
): Tensor {
  const constant = (factor: number) => ops.constant(beta * factor, dtype);
  const early = ops.where(ops.less(place, 1), constant(firstTokenBiasFactor), constant(biasFactor));
  return ops.where(ops.less(place, biasLength), early, constant(1));
}

/**
 * Weights of answer tokens that brake where the model has moved above the aligned one:
 *
 *     w = max(1e-3, 2 σ(β (log π_ref - log π)))       a constant for the gradient
 *
 * The gradient of `-w log π` is that of `-(2 / β) log σ(β log(π / π_ref))`; w is 1 where the models agree, and for β = 0 always.
 * Log-probabilities and betas `[tokens]`.
 * Source: Qi et al., arXiv 2406.05946, equation 3; the lower bound is that of the authors' code.
 */
export const constrainedWeights = (logProbability: Tensor, reference: Tensor, betas: Tensor): Tensor =>
  ops.stopGradient(ops.maximum(ops.mul(2, ops.sigmoid(ops.mul(betas, ops.sub(reference, logProbability)))), LEAST));
