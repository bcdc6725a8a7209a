import { stopIfAsked } from "../errors.ts";
import {
  type Adapter,
  batchOf,
  batchTypes,
  countLabelled,
  type Example,
  packBatch,
  tokenLoss,
  weightsOf,
} from "../models/index.ts";
import type { LoadedModel, NamedWeights } from "../models/load.ts";
import { typesOf } from "../runtime/index.ts";

/** Rows of one call: more cost memory, not less time. */
const BATCH = 32;

/** Mean cross-entropy per labelled token over all examples, in nats, with these tensors on the model. @throws {BoosterError} `STOPPED` */
export type HeldOutLoss = (
  tensors: NamedWeights,
  examples: readonly Example[],
  signal?: AbortSignal,
) => Promise<number>;

/**
 * Losses of a model on rows that it is not trained on, at whatever trained weights.
 *
 * @param adapter its tensors are those whose names and shapes each call brings
 */
export async function heldOutLoss(
  { device, model, weights: base }: Pick<LoadedModel, "device" | "model" | "weights">,
  { scale, tensors: types }: Adapter<NamedWeights>,
  chunks: number,
): Promise<HeldOutLoss> {
  const inputs = { base: typesOf(base), tensors: typesOf(types), batch: batchTypes("rows", chunks) };
  const program = await device.compile(inputs, (given) => {
    const weights = weightsOf(model, given.base, { scale, tensors: given.tensors });
    return { loss: tokenLoss(model, weights, batchOf(given.batch), { chunks }) };
  });
  return async (tensors, examples, signal) => {
    const totalLabelled = examples.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
    let sum = 0;
    for (let start = 0; start < examples.length; start += BATCH) {
      stopIfAsked(signal, "measuring");
      const batch = packBatch(examples.slice(start, start + BATCH), { chunks, totalLabelled });
      const { loss } = await program.run({ base, tensors, batch });
      sum += Number(loss.data[0]);
    }
    return sum;
  };
}
