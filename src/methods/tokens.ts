import { ops, type Tensor, type Tree } from "../autodiff/index.ts";
import type { LabelledTokens } from "../models/index.ts";
import type { StepContext } from "./method.ts";

/**
 * The labelled tokens of a stream's batch at any weights. Their log-probabilities are part of the graph: what is computed from them
 * can be differentiated, and costs a forward pass but no loss.
 *
 * @example
 * const { logProbability } = labelledTokens(context, context.copies.reference, "user");
 */
export function labelledTokens({ loss }: Pick<StepContext, "loss">, weights: Tree, stream: string): LabelledTokens {
  let seen: LabelledTokens | undefined;
  loss(weights, stream, {
    weigh: (tokens) => {
      seen = tokens;
      return tokens.shares;
    },
  });
  return seen as LabelledTokens;
}

/** Log-probability of each row's answer: `[rows]`. */
export const answerLogProbability = (
  { logProbability, shares, row }: Pick<LabelledTokens, "logProbability" | "shares" | "row">,
  rows: Tensor["shape"][number],
): Tensor => ops.scatterAdd(ops.mul(logProbability, ops.sign(shares)), row, rows);
