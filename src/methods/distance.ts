import { ops, type Tensor, type Tree, tree } from "../autodiff/index.ts";
import { total } from "./sums.ts";

/** Keeps a step along a vanishing gradient finite, as in the code of Vaccine, Booster and Panacea. */
const NORM_FLOOR = 1e-7;

/** `‖g‖` over all parts together, a scalar that can be divided by. */
export const flooredNorm = (gradient: Tree): Tensor => ops.add(tree.globalNorm(gradient), NORM_FLOOR);

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
