import { type Example, type Model, packBatch } from "../src/models/index.ts";

/** Multiplications and additions of one product [n, a] x [a, b]. */
const product = (n: number, a: number, b: number): number => 2 * n * a * b;

/**
 * Floating-point operations of one forward and backward pass of a LoRA step: its matrix products, and nothing else.
 *
 * With n tokens, those that rows have in common once, m of them followed by a labelled token, s tokens and t queries in a row, r the
 * rank, d the width, V the vocabulary:
 *
 *     frozen layer [out, in]       forward 2 n in out, gradient of its input 2 n in out (weights get none)
 *     LoRA of it, A [r, in]        x A', (x A') B', dB, d(x A'), dA, dx: 6 times n r in or n r out, so 6 n r (in + out)
 *     attention, a row             q k', p v, dv, dp, dq, dk: 6 times 2 t s heads headDim (all of it, as computed)
 *     head                         logits 2 m d V, gradient of the hidden state 2 m d V
 *
 * What nobody has to compute is not counted: beginnings that rows share, but once; in the last layer queries, output and MLP of tokens whose successor is not
 * labelled; in the first layer the gradient of the embedding; padding. The same count stands for every contender, so a
 * peer that computes padding, or the same beginning twice, shows a lower speed.
 */
export function passFlops(model: Model, rank: number, adapted: readonly string[], rows: readonly Example[]): number {
  const labelledOf = ({ labels }: Example) => Array.from(labels).filter((label, i) => i > 0 && label !== -100).length;
  const { ids, own } = packBatch(rows, { chunks: 1 });
  const [tokens = 0] = ids.shape;
  const queries = own.to.shape.slice(1).reduce((a, b) => a * b);
  const labelled = rows.reduce((sum, row) => sum + labelledOf(row), 0);
  let total = 2 * product(labelled, model.hiddenSize, model.vocabSize);
  for (const [module, [out, width]] of model.linears) {
    const [, layer = "", part = ""] = /layers\.(\d+)\..*?(\w+)$/.exec(module) ?? [];
    const everyToken = Number(layer) < model.layers - 1 || part === "k_proj" || part === "v_proj";
    const n = everyToken ? tokens : labelled;
    const readsEmbedding = Number(layer) === 0 && /^[qkv]_proj$/.test(part);
    total += (readsEmbedding ? 1 : 2) * product(n, width, out);
    if (adapted.includes(part)) {
      total += 3 * (product(n, rank, width) + product(n, rank, out)) - (readsEmbedding ? product(n, rank, width) : 0);
    }
  }
  for (const row of rows) {
    const keys = row.inputIds.length;
    const square = 6 * product(queries, keys, model.heads * model.headDim);
    const last = 6 * product(labelledOf(row), keys, model.heads * model.headDim);
    total += (model.layers - 1) * square + last;
  }
  return total;
}
