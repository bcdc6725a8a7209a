import { ops, type Tensor, type Tree } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";
import { softCap } from "../nn/index.ts";
import type { DType } from "../tensor/tensor.ts";
import type { Model } from "./architecture.ts";
import { blockProductOf } from "./blocks.ts";
import { expanded, storageOf, storedProduct } from "./storages.ts";

/**
 * What is trained, or was, on top of a model's weights: LoRA factors under PEFT's names, whose product is multiplied by
 * `scale`, and whole weights in place of the model's own under theirs (full tuning, PEFT's saved modules).
 */
export interface Adapter<T = Tree> {
  /** alpha / rank; 1 where there are no factors. */
  readonly scale: number;
  readonly tensors: T;
}

/** A model's weights inside a program: nobody else there sees in which form they are stored. */
export interface Weights {
  /** What is computed in. */
  readonly dtype: DType;
  /**
   * @param after where it is given, a weight that has to be expanded is so anew behind it, and not kept from other uses
   * @throws {BoosterError} `MISSING_WEIGHT`
   */
  tensor(name: string, after?: Tensor): Tensor;
  /** `x W' + b + Σ scale (x A') B'`, the sum over adapters: x `[tokens, in]`, W `[out, in]`, A `[rank, in]`, B `[out, rank]`. */
  linear(module: string, x: Tensor): Tensor;
  /** int32 `[tokens]` to `[tokens, hidden]`. */
  embed(ids: Tensor): Tensor;
  /** The output head: `[tokens, hidden]` to `[tokens, vocabulary]`. */
  logits(x: Tensor): Tensor;
}

/**
 * A model's stored weights with adapters on them. Source: Hu et al., arXiv 2106.09685.
 *
 * @example
 * const weights = weightsOf(model, given.base, { scale: 0.5, tensors: given.adapter });
 */
export function weightsOf(
  { embedding, head, softcap }: Pick<Model, "embedding" | "head" | "softcap">,
  base: Tree,
  ...adapters: Adapter[]
): Weights {
  const all: Tree = Object.assign({}, base, ...adapters.map(({ tensors }) => tensors));
  function argument(name: string): Tensor {
    const found = all[name];
    // The name alone, since a model has hundreds.
    if (found === undefined) throw new BoosterError("MISSING_WEIGHT", "the model lacks a weight", { expected: name });
    return found;
  }
  const isStored = (name: string): boolean => storageOf(argument(name)) !== undefined;
  function tensor(name: string, after?: Tensor): Tensor {
    if (!isStored(name)) return argument(name);
    return expanded(all, name, (part) => (after === undefined ? part : ops.apart(part, after)));
  }
  const product = (x: Tensor, name: string): Tensor =>
    blockProductOf(x, all, name) ??
    (isStored(name)
      ? storedProduct(x, (after) => tensor(name, after), true)
      : ops.matmul(x, argument(name), { transB: true }));
  return {
    get dtype() {
      return isStored(head) ? "float32" : argument(head).dtype;
    },
    tensor,
    linear(module, x) {
      const bias = all[`${module}.bias`];
      const plain = product(x, `${module}.weight`);
      return adapters.reduce(
        (y, { scale, tensors }) => {
          const [A, B] = [tensors[`${module}.lora_A.weight`], tensors[`${module}.lora_B.weight`]];
          if (A === undefined || B === undefined) return y;
          return ops.add(y, ops.matmul(ops.matmul(x, A, { transB: true }), B, { transB: true, alpha: scale }));
        },
        bias === undefined ? plain : ops.add(plain, bias),
      );
    },
    embed(ids) {
      argument(embedding);
      return expanded(all, embedding, (part) => ops.gather(part, ids));
    },
    logits: (x) => softCap(product(x, head), softcap).value,
  };
}
