import { ops, type Tensor, type Tree, tree, valueAndGrad } from "../../../autodiff/index.ts";
import { paddedStates } from "../../../models/index.ts";
import { innerAdamW } from "../../inner-adamw.ts";
import type { StepContext } from "../../method.ts";
import { answerLogProbability, labelledTokens } from "../../tokens.ts";
import { negativeEntropy, preferenceLosses, sharesOf, unlikelihood } from "./losses.ts";
import type { TarOptions, TarState } from "./options.ts";

/** Of the adversary's AdamW, as in the authors' code. */
const ADVERSARY_DECAY = 0.01;

/** One AdamW step of the adversary on a stream's batch. */
export function adversaryStep({ weights, state, inputs, loss }: StepContext<TarState>, stream: string) {
  const { value, grad } = valueAndGrad((w) => loss(w, stream))(weights);
  const given = { weights, gradient: grad, state, learningRate: inputs.rate as Tensor };
  return { ...innerAdamW(given, { weightDecay: ADVERSARY_DECAY }), metrics: { adversaryLoss: value } };
}

/** Adds the gradient of a tamper loss at the present weights to the buffer. */
export function accumulate({ weights, state, inputs }: StepContext<TarState>, loss: (weights: Tree) => Tensor) {
  const { value, grad } = valueAndGrad((w) => ops.mul(loss(w), inputs.scale as Tensor))(weights);
  return {
    state: { buffer: tree.add(state.buffer, grad), tamper: ops.add(state.tamper, value) },
    metrics: { scaledTamperLoss: value },
  };
}

/** Log-probability of each answer of a stream's batch: `[pairs]`. The n-th refusal and the n-th harmful answer are a pair. */
export const answersOf = (context: StepContext, weights: Tree, stream: string): Tensor =>
  answerLogProbability(labelledTokens(context, weights, stream), context.padded("harmful").ids.dim(0));

/** L_TR: what has to stay small after tampering. */
export function tamperLossOf(
  context: StepContext<TarState>,
  weights: Tree,
  { tamperLoss, preference, preferenceBeta }: TarOptions,
): Tensor {
  switch (tamperLoss) {
    case "refusal":
      return context.loss(weights, "alignment");
    case "max-entropy": {
      const { model, padded } = context;
      const [all, batch] = [context.params(weights), padded("harmful")];
      const logits = all.logits(paddedStates(model, all, batch));
      return negativeEntropy(logits, sharesOf(batch, logits.dtype));
    }
    case "unlikelihood":
      return unlikelihood(labelledTokens(context, weights, "harmful"));
    case "preference": {
      const reference = context.state.reference as Tree;
      const pairs = {
        chosen: answersOf(context, weights, "alignment"),
        rejected: answersOf(context, weights, "harmful"),
        referenceChosen: answersOf(context, reference, "alignment"),
        referenceRejected: answersOf(context, reference, "harmful"),
      };
      return ops.mean(preferenceLosses(pairs, preference, preferenceBeta));
    }
  }
}
