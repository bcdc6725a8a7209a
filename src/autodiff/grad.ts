import { BoosterError } from "../errors.ts";
import { showShape } from "./dim.ts";
import { add, alias, barrier, constant, customGradient, expand } from "./ops/index.ts";
import { reachable } from "./passes.ts";
import type { Tensor } from "./tensor.ts";
import { mapTree, type Tree } from "./tree.ts";

/** Every node that lies between one of `wrt` and `output`, in creation order (inputs first). */
function dependents(output: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const depends = new Set(wrt.map((x) => x.id));
  const reached = reachable([output], (node) => (node.op.differentiable && !depends.has(node.id) ? node.inputs : []));
  return reached.filter((node) => {
    if (node.op.differentiable && node.inputs.some((x) => depends.has(x.id))) depends.add(node.id);
    return depends.has(node.id);
  });
}

/**
 * Reverse mode: the cotangents of `wrt` when `output` has the given cotangent.
 * Built from tensors, so it can be differentiated again; what nobody needs is never built.
 */
export function vjp(output: Tensor, cotangent: Tensor, wrt: readonly Tensor[]): Tensor[] {
  const nodes = dependents(output, wrt);
  const needed = new Set(nodes.map((node) => node.id));
  const leaves = new Set(wrt.map((x) => x.id));
  const cotangents = new Map<number, Tensor>([[output.id, cotangent]]);
  for (const node of nodes.reverse()) {
    const incoming = cotangents.get(node.id);
    if (incoming === undefined || leaves.has(node.id)) continue;
    cotangents.delete(node.id);
    const thunks = node.op.gradient(node, incoming);
    node.inputs.forEach((x, i) => {
      const contribution = needed.has(x.id) ? thunks[i]?.() : undefined;
      if (contribution === undefined) return;
      const sum = cotangents.get(x.id);
      cotangents.set(x.id, sum === undefined ? contribution : add(sum, contribution));
    });
  }
  return wrt.map((x) => cotangents.get(x.id) ?? expand(constant(0, x.dtype), x.shape));
}

/** A loss and what else the function wants to hand out. */
export interface ValueAndGrad {
  readonly value: Tensor;
  readonly grad: Tree;
}

/**
 * The value of a scalar function and its gradient with respect to every tensor of its argument.
 *
 * @throws {BoosterError} `SHAPE_MISMATCH` when the function does not return a scalar.
 */
export const valueAndGrad =
  (fn: (weights: Tree) => Tensor) =>
  (weights: Tree): ValueAndGrad => {
    // Fresh names for the arguments: what the function closes over stays constant even if it came from them.
    const fresh = mapTree(weights, alias);
    const value = fn(fresh);
    if (value.rank !== 0) {
      throw new BoosterError("SHAPE_MISMATCH", "only a scalar has a gradient", {
        expected: "[]",
        found: showShape(value.shape),
      });
    }
    const names = Object.keys(fresh);
    const gradients = vjp(value, constant(1, value.dtype), Object.values(fresh));
    return { value, grad: Object.fromEntries(names.map((name, i) => [name, gradients[i] as Tensor])) };
  };

/**
 * The gradient of a scalar function of named tensors; itself differentiable.
 *
 * @example
 * const harm = grad((w) => loss(w, harmful))(lora);
 */
export const grad =
  (fn: (weights: Tree) => Tensor) =>
  (weights: Tree): Tree =>
    valueAndGrad(fn)(weights).grad;

/**
 * Computes `fn` again in the backward pass instead of keeping what it computed on the way.
 * Everything that needs a gradient must be among the inputs.
 */
export function checkpoint(fn: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  return customGradient(inputs, fn(...inputs), (cotangent) => {
    const late = inputs.map((x) => (x.dtype.startsWith("float") && x.rank > 0 ? barrier(x, cotangent) : alias(x)));
    let gradients: Tensor[] | undefined;
    return inputs.map((_, i) => () => {
      gradients ??= vjp(fn(...late), cotangent, late);
      return gradients[i] as Tensor;
    });
  });
}
