import { defineOp, type Emitter, type Op, type Tensor } from "../tensor.ts";
import { broadcastType, sumTo } from "./broadcast.ts";
import { less, where } from "./compare.ts";
import { constantValue, type Operand, pair } from "./constant.ts";

export type Unary = ((x: Tensor) => Tensor) & { readonly op: Op };
type Binary = ((a: Operand, b: Operand) => Tensor) & { readonly op: Op };

/** The name of an ONNX operator, or how nodes are written. */
type Lowering = string | ((emit: Emitter, names: readonly string[]) => string);
const lowered = (onnx: Lowering, emit: Emitter, names: readonly string[]): string =>
  typeof onnx === "string" ? emit.node(onnx, names) : onnx(emit, names);

/** `gradient(x, y, g)`: the cotangent of x, from the input, the output and the cotangent of the output; absent, nothing flows. */
export function unary(
  name: string,
  onnx: Lowering,
  gradient?: (x: Tensor, y: Tensor, g: Tensor) => Tensor,
  [low, high]: readonly [number, number] = [-2, 2],
): Unary {
  const make = defineOp<null, readonly [Tensor]>({
    name,
    type: ([x]) => x,
    ...(gradient && { gradient: ({ inputs: [x], output, cotangent }) => [() => gradient(x, output, cotangent)] }),
    lower: (emit, { names }) => lowered(onnx, emit, names),
    samples: (draw) => [{ inputs: [{ shape: draw.shape(), low, high }], attrs: null }],
  });
  return Object.assign((x: Tensor) => make([x], null), { op: make.op });
}

/** `-x` */
export const neg: Unary = unary("neg", "Neg", (_x, _y, g) => neg(g));
/** `e^x` */
export const exp: Unary = unary("exp", "Exp", (_x, y, g) => mul(g, y));
/** Natural logarithm. */
export const log: Unary = unary("log", "Log", (x, _y, g) => div(g, x), [0.3, 3]);
/** Square root. */
export const sqrt: Unary = unary("sqrt", "Sqrt", (_x, y, g) => div(mul(g, 0.5), y), [0.3, 3]);
/** `1 / x` */
export const reciprocal: Unary = unary("reciprocal", "Reciprocal", (_x, y, g) => neg(mul(g, mul(y, y))), [0.3, 3]);
/** Hyperbolic tangent. */
export const tanh: Unary = unary("tanh", "Tanh", (_x, y, g) => mul(g, sub(1, mul(y, y))));
/** `1 / (1 + e^-x)` */
export const sigmoid: Unary = unary("sigmoid", "Sigmoid", (_x, y, g) => mul(g, mul(y, sub(1, y))));
/** Absolute value; its derivative at 0 is 0. */
export const abs: Unary = unary("abs", "Abs", (x, _y, g) => mul(g, sign(x)));
/** -1, 0 or 1; not differentiated. */
export const sign: Unary = unary("sign", "Sign");

function binary(
  name: string,
  onnx: Lowering,
  gradient: (a: Tensor, b: Tensor, y: Tensor, g: Tensor) => readonly [() => Tensor, () => Tensor],
  [low, high]: readonly [number, number] = [-2, 2],
): Binary {
  const make = defineOp<null, readonly [Tensor, Tensor]>({
    name,
    type: ([a, b]) => broadcastType(name, a, b),
    gradient({ inputs: [a, b], output, cotangent }) {
      const [ga, gb] = gradient(a, b, output, cotangent);
      return [() => sumTo(ga(), a.shape), () => sumTo(gb(), b.shape)];
    },
    lower: (emit, { names }) => lowered(onnx, emit, names),
    samples(draw) {
      const shape = draw.shape(3);
      const ones = shape.map((d) => (draw.integer(0, 1) === 0 ? 1 : d));
      return [
        [shape, shape],
        [shape, ones],
        [shape.slice(1), shape],
        [ones, []],
      ].map((shapes) => ({ inputs: shapes.map((shape) => ({ shape, low, high })), attrs: null }));
    },
  });
  return Object.assign((a: Operand, b: Operand) => make(pair(a, b), null), { op: make.op });
}

const is = (x: Operand, value: number): boolean => (typeof x === "number" ? x : constantValue(x)) === value;

const sumOf: Binary = binary("add", "Add", (_a, _b, _y, g) => [() => g, () => g]);
const productOf: Binary = binary("mul", "Mul", (a, b, _y, g) => [() => mul(g, b), () => mul(g, a)]);

/** `a + b`, broadcast as NumPy does. */
export function add(a: Operand, b: Operand): Tensor {
  if (is(b, 0) && typeof a !== "number") return a;
  return is(a, 0) && typeof b !== "number" ? b : sumOf(a, b);
}
/** `a * b`, broadcast as NumPy does. */
export function mul(a: Operand, b: Operand): Tensor {
  if (is(b, 1) && typeof a !== "number") return a;
  return is(a, 1) && typeof b !== "number" ? b : productOf(a, b);
}
/** `a - b`, broadcast as NumPy does. */
export const sub: Binary = binary("sub", "Sub", (_a, _b, _y, g) => [() => g, () => neg(g)]);
/** `a / b`, broadcast as NumPy does. */
export const div: Binary = binary(
  "div",
  "Div",
  (_a, b, y, g) => [() => div(g, b), () => neg(div(mul(g, y), b))],
  [0.3, 3],
);
// WebGPU's Pow (ONNX Runtime 1.30) stops where one operand is repeated along a last axis of 4, 8, 12, ... elements.
const lowerPow: Lowering = (emit, names) => {
  if (emit.provider === "cpu") return emit.node("Pow", names);
  const [a, b] = names as readonly [string, string];
  return emit.node("Exp", [emit.node("Mul", [b, emit.node("Log", [a])])]);
};
/** `a ^ b` for positive a. */
export const pow: Binary = binary(
  "pow",
  lowerPow,
  (a, b, y, g) => [() => mul(g, mul(b, pow(a, sub(b, 1)))), () => mul(g, mul(y, log(a)))],
  [0.3, 2],
);
/** The larger; where equal, the gradient flows to `a`. */
export const maximum: Binary = binary("maximum", "Max", (a, b, _y, g) => [
  () => where(less(a, b), 0, g),
  () => where(less(a, b), g, 0),
]);
/** The smaller; where equal, the gradient flows to `a`. */
export const minimum: Binary = binary("minimum", "Min", (a, b, _y, g) => [
  () => where(less(b, a), 0, g),
  () => where(less(b, a), g, 0),
]);

/** How a scalar op computes on numbers known while tracing; absent ops are not folded. */
export const FOLD: ReadonlyMap<unknown, (...values: number[]) => number> = new Map([
  [neg.op, (a = 0) => -a],
  [sqrt.op, (a = 0) => Math.sqrt(a)],
  [sumOf.op, (a = 0, b = 0) => a + b],
  [sub.op, (a = 0, b = 0) => a - b],
  [productOf.op, (a = 0, b = 0) => a * b],
  [div.op, (a = 0, b = 0) => a / b],
]);

/** The addition, for passes that fuse it. */
export const ADD = sumOf.op;

export const ELEMENTWISE_OPS = [
  ...[neg, exp, log, sqrt, reciprocal, tanh, sigmoid, abs, sign],
  ...[sumOf, sub, productOf, div, pow, maximum, minimum],
].map(({ op }) => op);
