import type { TensorType } from "../autodiff/index.ts";
import { stopIfAsked } from "../errors.ts";
import { batchOf, batchSpec, countLabelled, type Example, packBatch, tokenLoss } from "../models/index.ts";
import type { LoadedModel, NamedWeights } from "../models/load.ts";
import type { Program } from "../runtime/index.ts";

const ROWS = "rows";
/** Rows of one call: more cost memory, not less time. */
const BATCH = 32;

type Measured = Pick<LoadedModel, "device" | "model" | "weights">;

/** Losses of a model on rows that it is not trained on, at whatever trained weights. */
export class HeldOutLoss {
  private readonly program: Program;
  private readonly base: Measured;
  private readonly chunks: number;

  private constructor(program: Program, base: Measured, chunks: number) {
    this.program = program;
    this.base = base;
    this.chunks = chunks;
  }

  /** @param trained names and shapes of what each call brings: LoRA factors, or weights themselves */
  static async compile(
    base: Measured,
    trained: NamedWeights,
    options: { readonly loraScale: number; readonly chunks: number },
  ): Promise<HeldOutLoss> {
    const float = (shape: readonly number[]): TensorType => ({ dtype: "float32", shape });
    const params = Object.fromEntries([
      ...Object.entries(base.weights).map(([name, { dims }]) => [name, float(dims)] as const),
      ...[...trained].map(([name, { shape }]) => [name, float(shape)] as const),
    ]);
    const program = await base.device.compile(
      { inputs: { ...params, ...batchSpec(ROWS, options.chunks) } },
      (args) => ({
        outputs: { loss: tokenLoss(base.model, args.inputs, batchOf(ROWS, args.inputs), options) },
      }),
    );
    return new HeldOutLoss(program, base, options.chunks);
  }

  /** Mean cross-entropy per labelled token over all examples, in nats. @throws {BoosterError} `STOPPED` */
  async measure(trained: NamedWeights, examples: readonly Example[], signal?: AbortSignal): Promise<number> {
    const totalLabelled = examples.reduce((sum, { labels }) => sum + countLabelled(labels), 0);
    const weights = { ...this.base.weights, ...Object.fromEntries(trained) };
    let sum = 0;
    for (let start = 0; start < examples.length; start += BATCH) {
      stopIfAsked(signal, "measuring");
      const rows = packBatch(ROWS, examples.slice(start, start + BATCH), { chunks: this.chunks, totalLabelled });
      const { loss } = await this.program.run({ ...weights, ...rows });
      sum += Number(loss?.data[0]);
    }
    return sum;
  }
}
