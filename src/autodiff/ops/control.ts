import { BoosterError } from "../../errors.ts";
import { sameShape } from "../dim.ts";
import { defineOp, type OpFunction, shapeError, type Tensor, type Thunk } from "../tensor.ts";

const internal = (name: string) => () => {
  throw new BoosterError("INTERNAL", `${name} nodes are resolved before lowering`);
};

const passThrough = (name: string, flows: boolean): OpFunction<null> =>
  defineOp<null, readonly [Tensor]>({
    name,
    type: ([x]) => x,
    ...(flows ? { gradient: ({ cotangent }) => [() => cotangent] } : {}),
    lower: internal(name),
    samples: () => [],
  });

const aliasOp = passThrough("alias", true);
const stopGradientOp = passThrough("stopGradient", false);

/** A new node with the same value: what `grad` differentiates with respect to. */
export const alias = (x: Tensor): Tensor => aliasOp([x], null);

/** The value of x, a constant for every gradient. */
export const stopGradient = (x: Tensor): Tensor => stopGradientOp([x], null);

/** From the cotangent of the value, one thunk for each input (undefined: nothing flows). */
export type CustomRule = (cotangent: Tensor) => readonly (Thunk | undefined)[];

interface CustomAttrs {
  readonly value: Tensor;
  readonly rule: CustomRule;
}

const customOp = defineOp<CustomAttrs, readonly Tensor[]>({
  name: "custom",
  type: (_, { value }) => value,
  gradient: ({ cotangent, attrs }) => attrs.rule(cotangent),
  lower: internal("custom"),
  samples: () => [],
});

/**
 * A value with a gradient rule of its own. What the rule returns is built from tensors, so it can be differentiated
 * again. The rule must cover everything that `value` depends on: other tensors are constants to it.
 *
 * @example
 * // the same value as exp(x), differentiated as if it were x
 * customGradient([x], exp(x), (g) => [() => g]);
 */
export const customGradient = (inputs: readonly Tensor[], value: Tensor, rule: CustomRule): Tensor =>
  customOp(inputs, { value, rule });

/** What an alias, a stopped or a custom node stands for; undefined for a node that computes. */
export function standsFor(x: Tensor): Tensor | undefined {
  if (x.op === aliasOp.op || x.op === stopGradientOp.op) return x.inputs[0];
  if (x.op === customOp.op) return (x.attrs as CustomAttrs).value;
  return undefined;
}

const barrierOp = defineOp<null, readonly [Tensor, Tensor]>({
  name: "barrier",
  type: ([x]) => x,
  gradient: ({ cotangent }) => [() => cotangent, undefined],
  // A reshape to its own shape costs nothing, and its shape argument makes it wait for the second input. `allowzero`
  // takes the shape as it is; only barriers have it, by which the pass that collapses reshapes leaves them alone.
  lower(emit, { names: [x, after], inputs: [value, other] }) {
    if (sameShape(value.shape, other.shape)) {
      return emit.node("Reshape", [x as string, emit.node("Shape", [after as string])], { allowzero: 1 });
    }
    const nothing = emit.node("Mul", [emit.node("Size", [after as string]), emit.constant("int64", [], [0])]);
    const shape = emit.node("Add", [emit.node("Shape", [x as string]), nothing]);
    return emit.node("Reshape", [x as string, shape], { allowzero: 1 });
  },
  samples: (draw) => {
    const shape = draw.shape(2);
    return [
      { inputs: [{ shape }, { shape }], attrs: null },
      { inputs: [{ shape }, { shape: [3] }], attrs: null },
    ];
  },
});

/** x, but not before `after` has been computed: keeps recomputation late and memory free until then. */
export function barrier(x: Tensor, after: Tensor): Tensor {
  if (x.rank === 0) throw shapeError("barrier", "a tensor with axes", [x, after]);
  return barrierOp([x, after], null);
}

const apartOp = defineOp<null, readonly [Tensor, Tensor]>({
  name: "apart",
  type: ([x]) => x,
  gradient: ({ cotangent }) => [() => cotangent, undefined],
  lower: (_, { names: [x] }) => x as string,
  samples: (draw) => [{ inputs: [{ shape: draw.shape(2) }, { shape: [3] }], attrs: null }],
});

/**
 * x for what comes after `after`: what is computed from it is not merged with what was computed from x before, so that it is computed
 * again, at that place of the trace, instead of being kept. Costs no node.
 */
export const apart = (x: Tensor, after: Tensor): Tensor => apartOp([x, after], null);

export const CONTROL_OPS = [barrierOp.op, apartOp.op];
