import { ops, type Tensor, valueAndGrad } from "../../../autodiff/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import type { RunFacts, StepContext, StepDirection } from "../../method.ts";
import { sharesOf } from "./losses.ts";
import type { TarOptions, TarState } from "./options.ts";
import { lossAndStates, mappingLoss } from "./representations.ts";

/** Stage 0: retain rows as ever, the hidden states of harmful rows towards a random vector a token. */
export function randomMapping(
  context: StepContext<TarState>,
  { retain: rows }: Pick<TarOptions, "retain">,
): StepDirection<TarState> {
  const { weights, state, loss, padded } = context;
  const batch = padded("harmful");
  const vectors = ops.gather(state.randomVectors as Tensor, ops.reshape(batch.ids, [-1]));
  const metrics: Record<string, Tensor> = {};
  const { grad } = valueAndGrad((w) => {
    const retain = loss(w, rows);
    const { states } = lossAndStates(context, w, "harmful");
    const mapping = mappingLoss(states, vectors, sharesOf(batch, retain.dtype));
    Object.assign(metrics, { loss: retain, mappingLoss: mapping });
    return ops.add(retain, mapping);
  })(weights);
  return { gradient: grad, metrics: metrics as StepDirection["metrics"] };
}

/** A fixed standard normal vector for each token. */
export function randomVectors({ vocabSize, hiddenSize }: RunFacts["model"], seed: number) {
  const values = new RandomStream(seed, "tar/random-mapping").normals(vocabSize * hiddenSize);
  return tensor("float32", [vocabSize, hiddenSize], values);
}
