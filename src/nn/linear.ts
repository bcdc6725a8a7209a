import { ops, type Tensor, type Tree } from "../autodiff/index.ts";
import { BoosterError } from "../errors.ts";

/** A named weight; the error lists nothing but the name, since a model has hundreds. */
export function weight(params: Tree, name: string): Tensor {
  const found = params[name];
  if (found === undefined) throw new BoosterError("MISSING_WEIGHT", "the model lacks a weight", { expected: name });
  return found;
}

/**
 * `x W' + b + scale * (x A') B'`: a linear layer, with its bias and its LoRA factors where `params` has them.
 * x `[tokens, in]`, W `[out, in]`, A `[rank, in]`, B `[out, rank]`; names as in Hugging Face and PEFT checkpoints.
 * Source: Hu et al., arXiv 2106.09685; `scale` is alpha / rank.
 */
export function linear(params: Tree, module: string, x: Tensor, loraScale: number): Tensor {
  let y = ops.matmul(x, weight(params, `${module}.weight`), { transB: true });
  const bias = params[`${module}.bias`];
  if (bias !== undefined) y = ops.add(y, bias);
  const down = params[`${module}.lora_A.weight`];
  const up = params[`${module}.lora_B.weight`];
  if (down === undefined || up === undefined) return y;
  return ops.add(y, ops.matmul(ops.matmul(x, down, { transB: true }), up, { transB: true, alpha: loraScale }));
}
