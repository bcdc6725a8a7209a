import { type Dim, showDim } from "./dim.ts";
import { ADD, constant, constantValue, FOLD, fuseAdd, standsFor } from "./ops/index.ts";
import type { Tensor } from "./tensor.ts";

/** Everything that the outputs need, inputs first: creation order is an execution order. */
export function reachable(outputs: readonly Tensor[], next: (node: Tensor) => readonly Tensor[]): Tensor[] {
  const found = new Map<number, Tensor>();
  const stack = [...outputs];
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (found.has(node.id)) continue;
    found.set(node.id, node);
    stack.push(...next(node));
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

const inputsOf = (node: Tensor): readonly Tensor[] => {
  const target = standsFor(node);
  return target === undefined ? node.inputs : [target];
};

const isDim = (value: object): value is Exclude<Dim, number> => "coefficient" in value && "symbols" in value;

/** Nodes with equal keys compute the same value. */
const keyOf = (node: Tensor, inputs: readonly Tensor[]): string =>
  `${node.op.name} ${inputs.map((x) => x.id).join(",")} ${JSON.stringify(node.attrs, (_, value: unknown) =>
    typeof value === "object" && value !== null && isDim(value) ? showDim(value) : Object.is(value, -0) ? "-0" : value,
  )}`;

/**
 * Rebuilds the graph below the outputs node by node; `visit` may replace a node whose inputs are already new.
 * Every node is made anew, so that creation order, which is the execution order, stays what the trace wrote.
 */
function rewrite(
  outputs: readonly Tensor[],
  visit: (node: Tensor, inputs: readonly Tensor[]) => Tensor | undefined,
): Tensor[] {
  const replaced = new Map<number, Tensor>();
  const current = (x: Tensor): Tensor => replaced.get(x.id) ?? x;
  for (const node of reachable(outputs, inputsOf)) {
    const target = standsFor(node);
    if (target !== undefined) {
      replaced.set(node.id, current(target));
      continue;
    }
    const inputs = node.inputs.map(current);
    replaced.set(node.id, visit(node, inputs) ?? node.op.rebuild(inputs, node.attrs));
  }
  return outputs.map(current);
}

/**
 * Aliases and custom rules resolved, scalar constants folded, equal computations done once, unused ones gone.
 * Two losses of the same weights and batch share their forward pass by this alone.
 */
export function simplify(outputs: readonly Tensor[]): Tensor[] {
  const seen = new Map<string, Tensor>();
  return rewrite(outputs, (node, inputs) => {
    const values = inputs.map(constantValue);
    const fold = FOLD.get(node.op);
    if (fold !== undefined && values.every((v) => v !== undefined)) {
      return constant(fold(...values), node.dtype);
    }
    const key = keyOf(node, inputs);
    const same = seen.get(key);
    if (same !== undefined) return same;
    const rebuilt = node.op.rebuild(inputs, node.attrs);
    seen.set(key, rebuilt);
    return rebuilt;
  });
}

/** `A B + C` becomes one kernel wherever nobody else reads `A B`. */
export function fuse(outputs: readonly Tensor[]): Tensor[] {
  const uses = new Map<number, number>();
  const read = (x: Tensor) => uses.set(x.id, (uses.get(x.id) ?? 0) + 1);
  outputs.forEach(read);
  for (const node of reachable(outputs, inputsOf)) node.inputs.forEach(read);
  return rewrite(outputs, (node, inputs) => {
    if (node.op !== ADD) return undefined;
    for (const at of [1, 0]) {
      const original = node.inputs[at] as Tensor;
      const [factor, addend] = [inputs[at] as Tensor, inputs[1 - at] as Tensor];
      if (uses.get(original.id) !== 1) continue;
      const fused = fuseAdd(factor, addend);
      if (fused !== undefined) return fused;
    }
    return undefined;
  });
}
