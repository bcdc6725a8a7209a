import { BoosterError } from "../errors.ts";
import { RandomStream } from "../tensor/random.ts";

/**
 * Which examples make up the batch of a step: every epoch a new random order, cut into batches, the last one smaller.
 *
 * A batch is a function of (seed, stream, step), so a resumed run needs the step alone.
 *
 * @example
 * const sampler = new BatchSampler(999, 10, 42, "data-order");
 * sampler.stepsPerEpoch; // 100
 * sampler.batch(99).length; // 9
 */
export class BatchSampler {
  readonly length: number;
  readonly batchSize: number;
  /** ceil(length / batchSize) */
  readonly stepsPerEpoch: number;
  private readonly random: RandomStream;
  private epoch = -1;
  private order = new Int32Array();

  /**
   * @param stream name of the random stream; samplers of different names are independent
   * @throws {BoosterError} `BATCH_INVALID` when there are no examples or no place in a batch
   */
  constructor(length: number, batchSize: number, seed: number, stream: string) {
    if (!Number.isInteger(length) || length < 1 || !Number.isInteger(batchSize) || batchSize < 1) {
      throw new BoosterError("BATCH_INVALID", "there is nothing to draw batches from", {
        expected: "at least 1 example and a batch size of at least 1",
        found: `${length} examples, batch size ${batchSize}`,
      });
    }
    this.length = length;
    this.batchSize = batchSize;
    this.stepsPerEpoch = Math.ceil(length / batchSize);
    this.random = new RandomStream(seed, stream);
  }

  /** Places of the examples of a step, counted from 0 over all epochs. */
  batch(step: number): Int32Array {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    if (epoch !== this.epoch) {
      this.order = Int32Array.from(this.random.permutation(this.length, epoch));
      this.epoch = epoch;
    }
    const start = (step % this.stepsPerEpoch) * this.batchSize;
    return this.order.slice(start, start + this.batchSize);
  }
}
