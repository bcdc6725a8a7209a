import type { DType } from "../../tensor/tensor.ts";
import { defineOp, type Emitter, type Tensor } from "../tensor.ts";
import { exp, mul, neg } from "./elementwise.ts";

/** Step and number of the terms below: up to |x| = 6, where erf is 1 in float64, the next term and the error are under 1e-17. */
const STEP = 1 / 4;
const TERMS = 26;
const LIMIT = 6;

/**
 * `erf(x) = 2 / pi (h x + sum over n of e^-(n h)^2 sin(2 n h x) / n)`, for element types without ONNX's own.
 * It is the trapezoidal rule on the Fourier transform of `e^-x^2`, integrated term by term.
 * Source: Strecok, Mathematics of Computation 22 (1968), 144.
 */
function lowerSeries(emit: Emitter, name: string, dtype: DType): string {
  const numbers = Array.from({ length: TERMS }, (_, i) => i + 1);
  const bounds = [-LIMIT, LIMIT].map((value) => emit.constant(dtype, [], [value]));
  const x = emit.node("Clip", [name, ...bounds]);
  const column = emit.node("Unsqueeze", [x, emit.constant("int64", [1], [-1])]);
  const times = numbers.map((n) => 2 * n * STEP);
  const waves = emit.node("Sin", [emit.node("Mul", [column, emit.constant(dtype, [TERMS], times)])]);
  const factors = numbers.map((n) => ((2 / Math.PI) * Math.exp(-((n * STEP) ** 2))) / n);
  const weighted = emit.node("Mul", [waves, emit.constant(dtype, [TERMS], factors)]);
  const sum = emit.node("ReduceSum", [weighted, emit.constant("int64", [1], [-1])], { keepdims: 0 });
  return emit.node("Add", [emit.node("Mul", [x, emit.constant(dtype, [], [(2 * STEP) / Math.PI])]), sum]);
}

const erfOp = defineOp<null, readonly [Tensor]>({
  name: "erf",
  type: ([x]) => x,
  gradient: ({ inputs: [x], cotangent }) => [() => mul(cotangent, mul(exp(neg(mul(x, x))), 2 / Math.sqrt(Math.PI)))],
  lower: (emit, { names, output: { dtype } }) =>
    dtype === "float32" ? emit.node("Erf", names) : lowerSeries(emit, names[0] as string, dtype),
  samples: (draw) => [{ inputs: [{ shape: draw.shape(), low: -3, high: 3 }], attrs: null }],
});

/** The error function, `2 / sqrt(pi) * integral from 0 to x of e^-t^2`. */
export const erf = (x: Tensor): Tensor => erfOp([x], null);

export const ERROR_FUNCTION_OPS = [erfOp.op];
