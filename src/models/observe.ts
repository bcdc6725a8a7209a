import { ops, type Tensor, type Tree } from "../autodiff/index.ts";
import { BoosterError, type Watch } from "../errors.ts";
import { typesOf } from "../runtime/index.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";
import { batchOf, batchTypes, type Example, packBatch } from "./batch.ts";
import type { LoadedModel, NamedWeights } from "./load.ts";
import { hiddenStates } from "./states.ts";
import { type Adapter, weightsOf } from "./weights.ts";

/** Sums that an observation gives, by the names that its reduction chose. */
export type Sums = ReadonlyMap<string, HostTensor<"float64">>;

export interface ObserveOptions {
  /** The tokens that are looked at: every one, or those that carry a label themselves (the answer). Default `all`. */
  readonly tokens?: "all" | "answer";
  /**
   * What is summed of a linear's input x `[tokens, in]`: named tensors whose shapes do not depend on the batch; `{}` for a linear
   * that is of no interest. `tensors` are the adapter's, so that `A x` can be formed. Called while tracing.
   */
  reduce(linear: string, x: Tensor, tensors: Tree): Tree;
}

/** Sum over tokens of each column's squares: x `[tokens, in]` to `[in]`. */
export const columnSquares = (x: Tensor): Tensor => ops.sum(ops.mul(x, x), { axes: [0] });

/** Gram matrix `X' X`: x `[tokens, in]` to `[in, in]`. */
export const gram = (x: Tensor): Tensor => ops.matmul(x, x, { transA: true });

/** Sums over what a model reads, with the tensors of each call on it. */
export interface Observer {
  /**
   * What each row gives by itself, in order.
   *
   * @throws {BoosterError} `NO_TRAINED_TOKENS` for a row without an answer where only answers are looked at, `STOPPED`
   */
  each(
    tensors: NamedWeights,
    examples: readonly Example[],
    watch?: Watch,
  ): AsyncGenerator<Readonly<Record<string, HostTensor>>>;
  /** The sum over all rows; empty for no rows. Throws what `each` throws. */
  sum(tensors: NamedWeights, examples: readonly Example[], watch?: Watch): Promise<Sums>;
}

/**
 * Sums over what goes into the linear layers of a model while it reads: statistics for pruning and projections.
 *
 * One forward pass a row, without padding and without gradients; a row's part is float32, parts are added in float64. Only
 * the sums leave the device, and only what they need is computed.
 *
 * @param adapter its tensors are those whose names and shapes each call brings
 * @throws {BoosterError} `NOTHING_OBSERVED` when no linear has a reduction
 * @example
 * const seen = await observer(base, { scale: 1, tensors: new Map() }, { reduce: (linear, x) => ({ [linear]: gram(x) }) });
 * const grams = await seen.sum(new Map(), rows); // "model.layers.0.mlp.up_proj" -> [in, in]
 */
export async function observer(
  { device, model, weights: base }: Pick<LoadedModel, "device" | "model" | "weights">,
  { scale, tensors: types }: Adapter<NamedWeights>,
  { tokens = "all", reduce }: ObserveOptions,
): Promise<Observer> {
  const inputs = { base: typesOf(base), tensors: typesOf(types), batch: batchTypes("rows", 1) };
  const program = await device.compile(inputs, (given) => {
    const batch = batchOf(given.batch);
    const answer = ops.add(batch.labelled.to, 1);
    const sums: Record<string, Tensor> = {};
    hiddenStates(model, weightsOf(model, given.base, { scale, tensors: given.tensors }), batch, {
      observe: (linear, x) =>
        Object.assign(sums, reduce(linear, tokens === "all" ? x : ops.gather(x, answer), given.tensors)),
    });
    if (Object.keys(sums).length > 0) return sums;
    throw new BoosterError("NOTHING_OBSERVED", "no linear layer of the model is one to observe", {
      expected: [...new Set([...model.linears.keys()].map((linear) => linear.split(".").at(-1)))].join(", "),
    });
  });
  const options = tokens === "all" ? { chunks: 1, totalLabelled: 1 } : { chunks: 1 };
  const each: Observer["each"] = async function* (tensors, examples, watch) {
    for (const [row, example] of examples.entries()) {
      watch?.("reading rows: row", row, examples.length);
      yield await program.run({ base, tensors, batch: packBatch([example], options) });
    }
  };
  return {
    each,
    async sum(tensors, examples, watch) {
      const sums = new Map<string, HostTensor<"float64">>();
      for await (const row of each(tensors, examples, watch)) {
        for (const [name, { shape, data }] of Object.entries(row)) {
          const total = sums.get(name) ?? zeros("float64", shape);
          for (let i = 0; i < data.length; i++) total.data[i]! += Number(data[i]);
          sums.set(name, total);
        }
      }
      return sums;
    },
  };
}
