import { grad, ops, type Tensor, type TensorType } from "../../autodiff/index.ts";
import { stopIfAsked } from "../../errors.ts";
import { batchOf, batchSpec, packBatch, tokenLoss } from "../../models/index.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import type { Preparation } from "../method.ts";

const BATCH = "fisher";
/** Keeps the names of the squares apart from those of the weights. */
const SQUARE = "square ";

/**
 * Empirical Fisher information of the trainable weights, as they are, by batches: `Σ_b (∇f_b(w))²`, f_b the mean token
 * loss of a batch of the stream's rows in order, the last batch smaller. Batches are added in float64.
 *
 * @throws {BoosterError} `NO_TRAINED_TOKENS` for a batch without an answer, `STOPPED`
 */
export async function fisherInformation(
  { device, model, frozen, trainable, loraScale, rows, signal }: Omit<Preparation, "seed">,
  stream: string,
  batchSize: number,
): Promise<ReadonlyMap<string, HostTensor<"float32">>> {
  const float = (shape: readonly number[]): TensorType => ({ dtype: "float32", shape });
  const types = Object.fromEntries([
    ...Object.entries(frozen).map(([name, { dims }]) => [name, float(dims)] as const),
    ...[...trainable].map(([name, { shape }]) => [name, float(shape)] as const),
  ]);
  const program = await device.compile({ inputs: { ...types, ...batchSpec(BATCH, 1) } }, ({ inputs }) => {
    const weights = Object.fromEntries([...trainable.keys()].map((name) => [name, inputs[name] as Tensor]));
    const loss = grad((w) => tokenLoss(model, { ...inputs, ...w }, batchOf(BATCH, inputs), { loraScale, chunks: 1 }));
    const squares = Object.entries(loss(weights)).map(([name, g]) => [SQUARE + name, ops.mul(g, g)] as const);
    return { outputs: Object.fromEntries(squares) };
  });
  const sums = new Map([...trainable].map(([name, { data }]) => [name, new Float64Array(data.length)]));
  const examples = rows[stream] ?? [];
  for (let start = 0; start < examples.length; start += batchSize) {
    stopIfAsked(signal, "measuring Fisher information");
    const batch = packBatch(BATCH, examples.slice(start, start + batchSize), { chunks: 1 });
    const squares = await program.run({ ...frozen, ...Object.fromEntries(trainable), ...batch });
    for (const [name, sum] of sums) {
      squares[SQUARE + name]?.data.forEach((square, i) => {
        sum[i]! += Number(square);
      });
    }
  }
  return new Map([...trainable].map(([name, { shape }]) => [name, tensor("float32", shape, sums.get(name) ?? [])]));
}
