import { type Tensor, valueAndGrad } from "../../../autodiff/index.ts";
import { innerAdamW } from "../../inner-adamw.ts";
import type { StepContext } from "../../method.ts";
import type { TarState } from "./options.ts";

/** Of the adversary's AdamW, as in the authors' code. */
const ADVERSARY_DECAY = 0.01;

/** One AdamW step of the adversary on a stream's batch. */
export function adversaryStep({ weights, state, inputs, loss }: StepContext<TarState>, stream: string) {
  const { value, grad } = valueAndGrad((w) => loss(w, stream))(weights);
  const given = { weights, gradient: grad, state, learningRate: inputs.rate as Tensor };
  return { ...innerAdamW(given, { weightDecay: ADVERSARY_DECAY }), metrics: { adversaryLoss: value } };
}
