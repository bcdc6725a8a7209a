import { defineOp, type Emitter, type OpFunction, type Rule, type Tensor } from "../tensor.ts";
import { broadcastType, sumTo } from "./broadcast.ts";
import { less, where } from "./compare.ts";
import { constantValue, type Operand, pair } from "./constant.ts";

type Unary = Rule<null, readonly [Tensor]>;

/** `gradient(x, y, g)`: the cotangent of x, from the input, the output and the cotangent of the output. */
function unary(
  name: string,
  onnx: string,
  gradient: (x: Tensor, y: Tensor, g: Tensor) => Tensor,
  [low, high]: readonly [number, number] = [-2, 2],
): OpFunction<null> {
  const rule: Unary = {
    name,
    type: ([x]) => x,
    gradient: ({ inputs: [x], output, cotangent }) => [() => gradient(x, output, cotangent)],
    lower: (emit, { names }) => emit.node(onnx, names),
    samples: (draw) => [{ inputs: [{ shape: draw.shape(), low, high }], attrs: null }],
  };
  return defineOp(rule);
}

const negOp = unary("neg", "Neg", (_x, _y, g) => neg(g));
const expOp = unary("exp", "Exp", (_x, y, g) => mul(g, y));
const logOp = unary("log", "Log", (x, _y, g) => div(g, x), [0.3, 3]);
const sqrtOp = unary("sqrt", "Sqrt", (_x, y, g) => div(mul(g, 0.5), y), [0.3, 3]);
const reciprocalOp = unary("reciprocal", "Reciprocal", (_x, y, g) => neg(mul(g, mul(y, y))), [0.3, 3]);
const tanhOp = unary("tanh", "Tanh", (_x, y, g) => mul(g, sub(1, mul(y, y))));
const sigmoidOp = unary("sigmoid", "Sigmoid", (_x, y, g) => mul(g, mul(y, sub(1, y))));
const absOp = unary("abs", "Abs", (x, _y, g) => mul(g, sign(x)));
const signOp = defineOp<null, readonly [Tensor]>({
  name: "sign",
  type: ([x]) => x,
  lower: (emit, { names }) => emit.node("Sign", names),
  samples: (draw) => [{ inputs: [{ shape: draw.shape() }], attrs: null }],
});

/** `-x` */
export const neg = (x: Tensor): Tensor => negOp([x], null);
/** `e^x` */
export const exp = (x: Tensor): Tensor => expOp([x], null);
/** Natural logarithm. */
export const log = (x: Tensor): Tensor => logOp([x], null);
/** Square root. */
export const sqrt = (x: Tensor): Tensor => sqrtOp([x], null);
/** `1 / x` */
export const reciprocal = (x: Tensor): Tensor => reciprocalOp([x], null);
/** Hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor => tanhOp([x], null);
/** `1 / (1 + e^-x)` */
export const sigmoid = (x: Tensor): Tensor => sigmoidOp([x], null);
/** Absolute value; its derivative at 0 is 0. */
export const abs = (x: Tensor): Tensor => absOp([x], null);
/** -1, 0 or 1; not differentiated. */
export const sign = (x: Tensor): Tensor => signOp([x], null);

type Lowering = (emit: Emitter, names: readonly string[]) => string;

function binary(
  name: string,
  onnx: string | Lowering,
  gradient: (a: Tensor, b: Tensor, y: Tensor, g: Tensor) => readonly [() => Tensor, () => Tensor],
  [low, high]: readonly [number, number] = [-2, 2],
): OpFunction<null> {
  return defineOp<null, readonly [Tensor, Tensor]>({
    name,
    type: ([a, b]) => broadcastType(name, a, b),
    gradient({ inputs: [a, b], output, cotangent }) {
      const [ga, gb] = gradient(a, b, output, cotangent);
      return [() => sumTo(ga(), a.shape), () => sumTo(gb(), b.shape)];
    },
    lower: (emit, { names }) => (typeof onnx === "string" ? emit.node(onnx, names) : onnx(emit, names)),
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
}

const addOp = binary("add", "Add", (_a, _b, _y, g) => [() => g, () => g]);
const subOp = binary("sub", "Sub", (_a, _b, _y, g) => [() => g, () => neg(g)]);
const mulOp = binary("mul", "Mul", (a, b, _y, g) => [() => mul(g, b), () => mul(g, a)]);
const divOp = binary("div", "Div", (_a, b, y, g) => [() => div(g, b), () => neg(div(mul(g, y), b))], [0.3, 3]);
// WebGPU's Pow (ONNX Runtime 1.30) stops where one operand is repeated along a last axis of 4, 8, 12, ... elements.
const lowerPow: Lowering = (emit, names) => {
  if (emit.provider === "cpu") return emit.node("Pow", names);
  const [a, b] = names as readonly [string, string];
  return emit.node("Exp", [emit.node("Mul", [b, emit.node("Log", [a])])]);
};
const powOp = binary(
  "pow",
  lowerPow,
  (a, b, y, g) => [() => mul(g, mul(b, pow(a, sub(b, 1)))), () => mul(g, mul(y, log(a)))],
  [0.3, 2],
);
const maximumOp = binary("maximum", "Max", (a, b, _y, g) => [
  () => where(less(a, b), 0, g),
  () => where(less(a, b), g, 0),
]);
const minimumOp = binary("minimum", "Min", (a, b, _y, g) => [
  () => where(less(b, a), 0, g),
  () => where(less(b, a), g, 0),
]);

const is = (x: Operand, value: number): boolean => (typeof x === "number" ? x : constantValue(x)) === value;

/** `a + b`, broadcast as NumPy does. */
export function add(a: Operand, b: Operand): Tensor {
  if (is(b, 0) && typeof a !== "number") return a;
  if (is(a, 0) && typeof b !== "number") return b;
  return addOp(pair(a, b), null);
}
/** `a - b`, broadcast as NumPy does. */
export const sub = (a: Operand, b: Operand): Tensor => subOp(pair(a, b), null);
/** `a * b`, broadcast as NumPy does. */
export function mul(a: Operand, b: Operand): Tensor {
  if (is(b, 1) && typeof a !== "number") return a;
  if (is(a, 1) && typeof b !== "number") return b;
  return mulOp(pair(a, b), null);
}
/** `a / b`, broadcast as NumPy does. */
export const div = (a: Operand, b: Operand): Tensor => divOp(pair(a, b), null);
/** `a ^ b` for positive a. */
export const pow = (a: Operand, b: Operand): Tensor => powOp(pair(a, b), null);
/** The larger; where equal, the gradient flows to `a`. */
export const maximum = (a: Operand, b: Operand): Tensor => maximumOp(pair(a, b), null);
/** The smaller; where equal, the gradient flows to `a`. */
export const minimum = (a: Operand, b: Operand): Tensor => minimumOp(pair(a, b), null);

/** How a scalar op computes on numbers known while tracing; absent ops are not folded. */
export const FOLD: ReadonlyMap<unknown, (...values: number[]) => number> = new Map<
  unknown,
  (...values: number[]) => number
>([
  [negOp.op, (a = 0) => -a],
  [sqrtOp.op, (a = 0) => Math.sqrt(a)],
  [addOp.op, (a = 0, b = 0) => a + b],
  [subOp.op, (a = 0, b = 0) => a - b],
  [mulOp.op, (a = 0, b = 0) => a * b],
  [divOp.op, (a = 0, b = 0) => a / b],
]);

/** The addition, for passes that fuse it. */
export const ADD = addOp.op;

export const ELEMENTWISE_OPS = [
  ...[negOp, expOp, logOp, sqrtOp, reciprocalOp, tanhOp, sigmoidOp, absOp, signOp],
  ...[addOp, subOp, mulOp, divOp, powOp, maximumOp, minimumOp],
].map((f) => f.op);
