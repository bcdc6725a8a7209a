import { ops, type Tensor } from "../autodiff/index.ts";

const { add, barrier, customGradient, mul, sigmoid, sub } = ops;

/**
 * `silu(gate) * up` with `silu(x) = x sigmoid(x)`.
 * With s = sigmoid(gate) and a = gate s: `d gate = g up (s + a - a s)`, `d up = g a`.
 * Source: Shazeer, arXiv 2002.05202.
 *
 * @param recompute Compute s and a again in the backward pass instead of keeping them.
 */
export function swiglu(gate: Tensor, up: Tensor, recompute = false): Tensor {
  const parts = (x: Tensor) => {
    const s = sigmoid(x);
    return { s, a: mul(x, s) };
  };
  const kept = parts(gate);
  return customGradient([gate, up], mul(kept.a, up), (g) => {
    const { s, a } = recompute ? parts(barrier(gate, g)) : kept;
    return [() => mul(mul(g, up), add(s, sub(a, mul(a, s)))), () => mul(g, a)];
  });
}
