import type { Tensor } from "../autodiff/index.ts";
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
import { type Program, typesOf } from "../runtime/index.ts";

/** Rows of one call: more cost memory, not less time. */
const BATCH = 32;

type Measured = Pick<LoadedModel, "device" | "model" | "weights">;

/** Losses of a model on rows that it is not trained on, at whatever trained weights. */
export class HeldOutLoss {
  private readonly program: Program<{ loss: Tensor }>;
  private readonly base: Measured;
  private readonly chunks: number;

  private constructor(program: Program<{ loss: Tensor }>, base: Measured, chunks: number) {
    this.program = program;
    this.base = base;
    this.chunks = chunks;
  }

  /** @param adapter its tensors are those whose names and shapes each call brings */
  static async compile(
    base: Measured,
    { scale, tensors }: Adapter<NamedWeights>,
    chunks: number,
  ): Promise<HeldOutLoss> {
    const inputs = { base: typesOf(base.weights), tensors: typesOf(tensors), batch: batchTypes("rows", chunks) };
    const program = await base.device.compile(inputs, (given) => {
      const weights = weightsOf(base.model, given.base, { scale, tensors: given.tensors });
      return { loss: tokenLoss(base.model, weights, batchOf(given.batch), { chunks }) };
    });
    return new HeldOutLoss(program, base, chunks);
  }

  /** Mean cross-entropy per labelled token over all examples, in nats. @throws {BoosterError} `STOPPED` */
  async measure(tensors: NamedWeights, examples: readonly Example[], signal?: AbortSignal): Promise<number> {
    const totalLabelled = examples.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
    let sum = 0;
    for (let start = 0; start < examples.length; start += BATCH) {
      stopIfAsked(signal, "measuring");
      const batch = packBatch(examples.slice(start, start + BATCH), { chunks: this.chunks, totalLabelled });
      const { loss } = await this.program.run({ base: this.base.weights, tensors, batch });
      sum += Number(loss.data[0]);
    }
    return sum;
  }
}
