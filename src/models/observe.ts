import { ops, type Tensor, type TensorType, type Tree } from "../autodiff/index.ts";
import { BoosterError, stopIfAsked } from "../errors.ts";
import type { Program } from "../runtime/index.ts";
import { type HostTensor, zeros } from "../tensor/tensor.ts";
import { batchOf, batchSpec, type Example, hiddenStates, packBatch } from "./batch.ts";
import type { LoadedModel, NamedWeights } from "./load.ts";

const ROWS = "rows";
/** Keeps the names of the sums apart from those of the weights. */
const SUM = "sum ";

/** Sums that an observation gives, by the names that its reduction chose. */
export type Sums = ReadonlyMap<string, HostTensor<"float64">>;

export interface ObserveOptions {
  /** The tokens that are looked at: every one, or those that carry a label themselves (the answer). Default `all`. */
  readonly tokens?: "all" | "answer";
  /** LoRA's alpha / rank, where `trained` holds factors. Default 1. */
  readonly loraScale?: number;
  /**
   * What is summed of a linear's input x `[tokens, in]`: named tensors whose shapes do not depend on the batch; `{}` for a linear
   * that is of no interest. `params` holds the weights and factors, so that `A x` can be formed. Called while tracing.
   */
  reduce(linear: string, x: Tensor, params: Tree): Tree;
}

/** Sum over tokens of each column's squares: x `[tokens, in]` to `[in]`. */
export const columnSquares = (x: Tensor): Tensor => ops.sum(ops.mul(x, x), { axes: [0] });

/** Gram matrix `X' X`: x `[tokens, in]` to `[in, in]`. */
export const gram = (x: Tensor): Tensor => ops.matmul(x, x, { transA: true });

/**
 * Sums over what goes into the linear layers of a model while it reads: statistics for pruning and projections.
 *
 * One forward pass a row, without padding and without gradients; a row's part is float32, parts are added in float64. Only
 * the sums leave the device, and only what they need is computed.
 *
 * @example
 * const seen = await Observer.compile(base, new Map(), { reduce: (linear, x) => ({ [linear]: gram(x) }) });
 * const grams = await seen.sum(new Map(), rows); // "model.layers.0.mlp.up_proj" -> [in, in]
 */
export class Observer {
  private readonly program: Program;
  private readonly base: Pick<LoadedModel, "weights">;
  private readonly tokens: "all" | "answer";

  private constructor(program: Program, base: Pick<LoadedModel, "weights">, tokens: "all" | "answer") {
    this.program = program;
    this.base = base;
    this.tokens = tokens;
  }

  /**
   * @param trained names and shapes of what each call brings: LoRA factors, or weights in the place of the model's own
   * @throws {BoosterError} `NOTHING_OBSERVED` when no linear has a reduction
   */
  static async compile(
    base: Pick<LoadedModel, "device" | "model" | "weights">,
    trained: NamedWeights,
    { tokens = "all", loraScale = 1, reduce }: ObserveOptions,
  ): Promise<Observer> {
    const float = (shape: readonly number[]): TensorType => ({ dtype: "float32", shape });
    const params = Object.fromEntries([
      ...Object.entries(base.weights).map(([name, { dims }]) => [name, float(dims)] as const),
      ...[...trained].map(([name, { shape }]) => [name, float(shape)] as const),
    ]);
    const program = await base.device.compile({ inputs: { ...params, ...batchSpec(ROWS, 1) } }, ({ inputs }) => {
      const batch = batchOf(ROWS, inputs);
      const answer = ops.add(batch.labelledTokens, 1);
      const outputs: Record<string, Tensor> = {};
      hiddenStates(base.model, inputs, batch, loraScale, {
        observe: (linear, x) =>
          Object.assign(outputs, reduce(linear, tokens === "all" ? x : ops.gather(x, answer), inputs)),
      });
      const named = Object.entries(outputs).map(([name, sum]) => [SUM + name, sum] as const);
      if (named.length > 0) return { outputs: Object.fromEntries(named) };
      throw new BoosterError("NOTHING_OBSERVED", "no linear layer of the model is one to observe", {
        expected: [...new Set([...base.model.linears.keys()].map((linear) => linear.split(".").at(-1)))].join(", "),
      });
    });
    return new Observer(program, base, tokens);
  }

  /**
   * What each row gives by itself, in order.
   *
   * @throws {BoosterError} `NO_TRAINED_TOKENS` for a row without an answer where only answers are looked at, `STOPPED`
   */
  async *each(
    trained: NamedWeights,
    examples: Iterable<Example>,
    signal?: AbortSignal,
  ): AsyncGenerator<Record<string, HostTensor>> {
    const weights = { ...this.base.weights, ...Object.fromEntries(trained) };
    const options = this.tokens === "all" ? { chunks: 1, totalLabelled: 1 } : { chunks: 1 };
    for (const example of examples) {
      stopIfAsked(signal, "looking at rows");
      const sums = await this.program.run({ ...weights, ...packBatch(ROWS, [example], options) });
      yield Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name.slice(SUM.length), sum]));
    }
  }

  /** The sum over all rows; empty for no rows. Throws what `each` throws. */
  async sum(trained: NamedWeights, examples: Iterable<Example>, signal?: AbortSignal): Promise<Sums> {
    const sums = new Map<string, HostTensor<"float64">>();
    for await (const row of this.each(trained, examples, signal)) {
      for (const [name, { shape, data }] of Object.entries(row)) {
        const total = sums.get(name) ?? zeros("float64", shape);
        for (let i = 0; i < data.length; i++) total.data[i]! += Number(data[i]);
        sums.set(name, total);
      }
    }
    return sums;
  }
}
