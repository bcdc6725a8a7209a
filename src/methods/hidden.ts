import { ops, type Tensor, type Tree, vjp } from "../autodiff/index.ts";
import type { Place } from "../models/index.ts";
import type { Look } from "./method.ts";

/**
 * A loss and its gradient with respect to what is put out at a place, by layer: as if a zero were added to each.
 *
 * @example
 * const { gradient } = gradientAtOutputs("feedForward", (tap) => loss(weights, "alignment", { tap }));
 */
export function gradientAtOutputs(
  at: Place,
  loss: (tap: NonNullable<Look["tap"]>) => Tensor,
): { readonly value: Tensor; readonly gradient: Tree } {
  const added: Record<string, Tensor> = {};
  const value = loss((place, layer, x) => {
    if (place !== at) return x;
    // Not the output itself: later outputs depend on it, and a gradient ends at what it is taken of.
    const zero = ops.alias(ops.expand(ops.constant(0, x.dtype), x.shape));
    added[layer] = zero;
    return ops.add(x, zero);
  });
  const gradients = vjp(value, ops.constant(1, value.dtype), Object.values(added));
  return {
    value,
    gradient: Object.fromEntries(Object.keys(added).map((layer, i) => [layer, gradients[i] as Tensor])),
  };
}
