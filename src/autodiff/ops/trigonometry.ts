import type { Emitter } from "../tensor.ts";
import { mul, neg, type Unary, unary } from "./elementwise.ts";

/** pi in two parts: the first has few enough bits that a small multiple of it is exact in float32. */
const PI_HIGH = 3.140625;
const PI_LOW = Math.PI - PI_HIGH;

const factorial = (n: number): number => (n < 2 ? 1 : n * factorial(n - 1));

/**
 * Sine or cosine from multiplications: a GPU's own promises three digits and only between -pi and pi (WebGPU Shading
 * Language, section on accuracy), and rotary positions reach into the thousands.
 *
 * x = n pi + r with r in [-pi/2, pi/2]; the Taylor series of r to the 11th or 12th power errs by less than 1e-7.
 */
function lowerSeries(emit: Emitter, x: string, odd: boolean): string {
  const scalar = (value: number) => emit.constant("float32", [], [value]);
  const times = (a: string, b: string | number) => emit.node("Mul", [a, typeof b === "number" ? scalar(b) : b]);
  const minus = (a: string, b: string) => emit.node("Sub", [a, b]);
  const n = emit.node("Floor", [emit.node("Add", [times(x, 1 / Math.PI), scalar(0.5)])]);
  const r = minus(minus(x, times(n, PI_HIGH)), times(n, PI_LOW));
  const square = times(r, r);
  const powers = odd ? [11, 9, 7, 5, 3, 1] : [12, 10, 8, 6, 4, 2, 0];
  const coefficient = (power: number) => (Math.floor(power / 2) % 2 === 0 ? 1 : -1) / factorial(power);
  const [first, ...rest] = powers as [number, ...number[]];
  let sum = scalar(coefficient(first));
  for (const power of rest) sum = emit.node("Add", [times(square, sum), scalar(coefficient(power))]);
  const series = odd ? times(r, sum) : sum;
  // (-1)^n = 1 - 2 (n mod 2)
  const half = emit.node("Floor", [times(n, 0.5)]);
  const parity = minus(n, times(half, 2));
  return times(series, minus(scalar(1), times(parity, 2)));
}

const series =
  (onnx: string, odd: boolean) =>
  (emit: Emitter, names: readonly string[]): string =>
    emit.provider === "cpu" ? emit.node(onnx, names) : lowerSeries(emit, names[0] as string, odd);

/** Sine, in radians. */
export const sin: Unary = unary("sin", series("Sin", true), (x, _y, g) => mul(g, cos(x)), [-9, 9]);
/** Cosine, in radians. */
export const cos: Unary = unary("cos", series("Cos", false), (x, _y, g) => mul(g, neg(sin(x))), [-9, 9]);

export const TRIGONOMETRY_OPS = [sin.op, cos.op];
