import { grad, ops, type Tree, tree } from "../../autodiff/index.ts";
import { batchOf, batchTypes, packBatch, tokenLoss, weightsOf } from "../../models/index.ts";
import { typesOf } from "../../runtime/index.ts";
import { type HostTensor, tensor } from "../../tensor/tensor.ts";
import type { Preparation } from "../method.ts";

/**
 * Empirical Fisher information of the trainable weights, as they are, by batches: `Σ_b (∇f_b(w))²`, f_b the mean token
 * loss of a batch of the stream's rows in order, the last batch smaller. Batches are added in float64.
 *
 * @throws {BoosterError} `NO_TRAINED_TOKENS` for a batch without an answer, `STOPPED`
 */
export async function fisherInformation(
  { device, model, frozen, adapter, rows, watch }: Omit<Preparation, "seed">,
  stream: string,
  batchSize: number,
): Promise<ReadonlyMap<string, HostTensor<"float32">>> {
  const { scale, tensors } = adapter;
  const inputs = { base: typesOf(frozen), tensors: typesOf(tensors), batch: batchTypes("rows", 1) };
  const examples = rows[stream] ?? [];
  const ahead = (row: number) => watch("measuring Fisher information: row", row, examples.length);
  ahead(0);
  const program = await device.compile(inputs, (given) => {
    const loss = (w: Tree) =>
      tokenLoss(model, weightsOf(model, given.base, { scale, tensors: w }), batchOf(given.batch), { chunks: 1 });
    return tree.mapTree(grad(loss)(given.tensors), (g) => ops.mul(g, g));
  });
  const sums = new Map([...tensors].map(([name, { data }]) => [name, new Float64Array(data.length)]));
  for (let start = 0; start < examples.length; start += batchSize) {
    ahead(start);
    const batch = packBatch(examples.slice(start, start + batchSize), { chunks: 1 });
    const squares = await program.run({ base: frozen, tensors, batch });
    for (const [name, sum] of sums) {
      squares[name]?.data.forEach((square, i) => {
        sum[i]! += Number(square);
      });
    }
  }
  return new Map([...tensors].map(([name, { shape }]) => [name, tensor("float32", shape, sums.get(name) ?? [])]));
}
