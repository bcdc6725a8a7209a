import { ops, type Tensor, type Tree } from "../autodiff/index.ts";
import { total } from "./sums.ts";

/** `Σ F_i (w_i - anchor_i)²` over all weights together, a scalar; F is 1 where none is given. */
export function squaredDistance(weights: Tree, anchor: Tree, importance?: Tree): Tensor {
  return total(
    Object.entries(weights).map(([name, w]) => {
      const change = ops.sub(w, anchor[name] as Tensor);
      const square = ops.mul(change, change);
      return ops.sum(importance === undefined ? square : ops.mul(square, importance[name] as Tensor));
    }),
  );
}
