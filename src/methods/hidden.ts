import { ops, type Tensor, type Tree, vjp } from "../autodiff/index.ts";
import type { Look } from "./method.ts";

/**
 * A loss and its gradient with respect to what modules put out, by their names: as if a zero were added to each.
 *
 * @example
 * const { gradient } = gradientAtOutputs((module) => module.endsWith(".mlp"), (tap) => loss(weights, "alignment", { tap }));
 */
export function gradientAtOutputs(
  chosen: (module: string) => boolean,
  loss: (tap: NonNullable<Look["tap"]>) => Tensor,
): { readonly value: Tensor; readonly gradient: Tree } {
  const added: Record<string, Tensor> = {};
  const value = loss((module, x) => {
    if (!chosen(module)) return x;
    // Not the output itself: later outputs depend on it, and a gradient ends at what it is taken of.
    const zero = ops.alias(ops.expand(ops.constant(0, x.dtype), x.shape));
    added[module] = zero;
    return ops.add(x, zero);
  });
  const gradients = vjp(value, ops.constant(1, value.dtype), Object.values(added));
  return {
    value,
    gradient: Object.fromEntries(Object.keys(added).map((module, i) => [module, gradients[i] as Tensor])),
  };
}
