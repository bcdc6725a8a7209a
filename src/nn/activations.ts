import { ops, type Tensor } from "../autodiff/index.ts";

const { add, barrier, cast, customGradient, erf, exp, less, maximum, mul, sigmoid, sub, tanh } = ops;

/** A function of single elements: its value, and what its slope is made of. */
export type Activation = (x: Tensor) => { readonly value: Tensor; slope(): Tensor };

/** `x sigmoid(x)`, with slope `s + a - a s` for s = sigmoid(x), a = x s. */
export const silu: Activation = (x) => {
  const s = sigmoid(x);
  const a = mul(x, s);
  return { value: a, slope: () => add(s, sub(a, mul(a, s))) };
};

/** `x Phi(x)` with the normal distribution's `Phi(x) = (1 + erf(x / sqrt(2))) / 2`. Source: Hendrycks and Gimpel, arXiv 1606.08415. */
export const gelu: Activation = (x) => {
  const phi = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = () => mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return { value: mul(x, phi), slope: () => add(phi, mul(x, density())) };
};

/** `x (1 + tanh u) / 2` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`. Source: Hendrycks and Gimpel, arXiv 1606.08415. */
export const geluTanh: Activation = (x) => {
  const [k, c] = [Math.sqrt(2 / Math.PI), 0.044715];
  const square = mul(x, x);
  const t = tanh(mul(mul(x, add(mul(square, c), 1)), k));
  const half = mul(add(t, 1), 0.5);
  const inner = () => mul(add(mul(square, 3 * c), 1), k / 2);
  return { value: mul(x, half), slope: () => add(half, mul(mul(x, sub(1, mul(t, t))), inner())) };
};

/** `max(x, 0)`, with slope 0 at 0. */
export const relu: Activation = (x) => ({ value: maximum(x, 0), slope: () => cast(less(0, x), x.dtype) });

/**
 * `f(gate) * up`: `d gate = g up f'(gate)`, `d up = g f(gate)`. Source: Shazeer, arXiv 2002.05202.
 *
 * @param recompute Compute f again in the backward pass instead of keeping what its slope needs.
 */
export function gated(f: Activation, gate: Tensor, up: Tensor, recompute = false): Tensor {
  const kept = f(gate);
  return customGradient([gate, up], mul(kept.value, up), (g) => {
    const { value, slope } = recompute ? f(barrier(gate, g)) : kept;
    return [() => mul(mul(g, up), slope()), () => mul(g, value)];
  });
}

/** `f(x)`: `d x = g f'(x)`; `recompute` as in `gated`. */
export function activated(f: Activation, x: Tensor, recompute = false): Tensor {
  const kept = f(x);
  return customGradient([x], kept.value, (g) => [() => mul(g, (recompute ? f(barrier(x, g)) : kept).slope())]);
}

/** `silu(gate) * up` */
export const swiglu = (gate: Tensor, up: Tensor, recompute = false): Tensor => gated(silu, gate, up, recompute);
