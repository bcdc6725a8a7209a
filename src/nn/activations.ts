import { ops, type Tensor } from "../autodiff/index.ts";

const { add, customGradient, mul, sigmoid, sub } = ops;

/**
 * `silu(gate) * up` with `silu(x) = x sigmoid(x)`.
 * With s = sigmoid(gate) and a = gate s: `d gate = g up (s + a - a s)`, `d up = g a`; s and a are kept, nothing else.
 * Source: Shazeer, arXiv 2002.05202.
 */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const s = sigmoid(gate);
  const a = mul(gate, s);
  return customGradient([gate, up], mul(a, up), (g) => [
    () => mul(mul(g, up), add(s, sub(a, mul(a, s)))),
    () => mul(g, a),
  ]);
}
