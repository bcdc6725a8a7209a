import { BoosterError } from "../errors.ts";
import { add as addTensors, mul, type Operand, sqrt, sub as subTensors, sum } from "./ops/index.ts";
import type { Tensor } from "./tensor.ts";

/** Named tensors: the weights of a model, their gradients, a step. Arithmetic on trees reads like the papers'. */
export type Tree = Readonly<Record<string, Tensor>>;

/** Applies a function to every value, name by name. */
export const mapTree = <A, B>(
  tree: Readonly<Record<string, A>>,
  fn: (value: A, name: string) => B,
): Record<string, B> => Object.fromEntries(Object.entries(tree).map(([name, value]) => [name, fn(value, name)]));

function partner(tree: Tree, name: string): Tensor {
  const tensor = tree[name];
  if (tensor === undefined) {
    throw new BoosterError("TREE_MISMATCH", "two trees have different names", {
      expected: name,
      found: Object.keys(tree).join(", "),
    });
  }
  return tensor;
}

/** `a + b`, name by name. */
export const add = (a: Tree, b: Tree): Tree => mapTree(a, (x, name) => addTensors(x, partner(b, name)));
/** `a - b`, name by name. */
export const sub = (a: Tree, b: Tree): Tree => mapTree(a, (x, name) => subTensors(x, partner(b, name)));
/** `factor * a`. */
export const scale = (a: Tree, factor: Operand): Tree => mapTree(a, (x) => mul(x, factor));
/** `weights + size * direction`: a step along a direction. */
export const step = (weights: Tree, direction: Tree, size: Operand): Tree => add(weights, scale(direction, size));

/** `sqrt(sum of squares)` over all tensors together: one norm, not one a tensor. */
export function globalNorm(tree: Tree): Tensor {
  const squares = Object.values(tree).map((x) => sum(mul(x, x)));
  const [first, ...rest] = squares;
  if (first === undefined) throw new BoosterError("TREE_MISMATCH", "an empty tree has no norm");
  return sqrt(rest.reduce((total, square) => addTensors(total, square), first));
}
