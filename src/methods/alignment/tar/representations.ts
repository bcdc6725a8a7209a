import { ops, type Tensor, type Tree } from "../../../autodiff/index.ts";
import { outputsAt } from "../../../models/index.ts";
import type { StepContext } from "../../method.ts";
import { average } from "../../sums.ts";

const { div, mul, sqrt, sub, sum } = ops;

/** As in PyTorch's cosine similarity. */
const COSINE_FLOOR = 1e-8;

/**
 * Loss on a stream's batch at given weights, and its hidden states, padding included: the embedding's output, what each block but the
 * last puts out, and the final, normalised states. All `[batch * time, hidden]`.
 */
export function lossAndStates(
  { model, params, loss }: StepContext,
  weights: Tree,
  stream: string,
): { readonly loss: Tensor; readonly states: readonly Tensor[] } {
  const { value, outputs: states } = outputsAt(["embedding", "block"], (tap) =>
    loss(weights, stream, { padded: true, tap }),
  );
  return { loss: value, states: [...states.slice(0, -1), model.finalNorm(params(weights), states.at(-1) as Tensor)] };
}

/** `‖x‖` of each row, with the derivative 0 at 0. */
function lengths(x: Tensor): Tensor {
  const squares = sum(mul(x, x), { axes: [1] });
  const none = ops.equal(squares, ops.constant(0, x.dtype));
  return ops.where(none, 0, sqrt(ops.where(none, 1, squares)));
}

/**
 * `mean over states of Σ shares ‖h - h_reference‖`: how far the hidden states have moved. States `[tokens, hidden]`, shares `[tokens]`.
 */
export function stateDistance(
  states: readonly Tensor[],
  reference: readonly Tensor[],
  shares: Tensor,
  norm: "l2" | "l2-squared",
): Tensor {
  return average(
    states.map((h, i) => {
      const moved = sub(h, reference[i] as Tensor);
      return sum(mul(shares, norm === "l2" ? lengths(moved) : sum(mul(moved, moved), { axes: [1] })));
    }),
  );
}

/** `mean over states of Σ shares (1 - |cos(h, r)|)`, r `[tokens, hidden]` the random vector of each token. */
export function mappingLoss(states: readonly Tensor[], vectors: Tensor, shares: Tensor): Tensor {
  return average(
    states.map((h) => {
      const scale = ops.maximum(mul(lengths(h), lengths(vectors)), COSINE_FLOOR);
      const cosine = div(sum(mul(h, vectors), { axes: [1] }), scale);
      return sum(mul(shares, sub(1, ops.abs(cosine))));
    }),
  );
}
