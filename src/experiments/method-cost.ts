import { ops } from "../autodiff/index.ts";
import { configureMethod } from "../methods/registry.ts";

/**
 * Forward and backward passes of one step of a method, as one number each pair: how often its step asks for a loss.
 *
 * @example
 * passesOf({ name: "booster" }); // 3
 */
export function passesOf({ name, ...settings }: { readonly name: string }): number {
  let passes = 0;
  const weights = { w: ops.input("w", "float32", [1]) };
  configureMethod(name, settings).step({
    weights,
    loss: (at) => {
      passes++;
      return ops.sum(ops.mul(at.w ?? weights.w, at.w ?? weights.w));
    },
  });
  return passes;
}
