import { ops, type Tensor, type TensorType } from "../autodiff/index.ts";

const { add, div, mul, sqrt, sub } = ops;

/** What an update reads: everything trainable is one vector, so an update is a handful of kernels. */
export interface UpdateInput {
  /** `[parameters]` */
  readonly weights: Tensor;
  /** `[parameters]`, after clipping. */
  readonly gradient: Tensor;
  /** The optimiser's own state, as declared by `state`. */
  readonly state: Readonly<Record<string, Tensor>>;
  /** Scalar. */
  readonly learningRate: Tensor;
}

export interface UpdateResult {
  readonly weights: Tensor;
  readonly state: Readonly<Record<string, Tensor>>;
}

/** A pure pair: the state that it needs (all zeros at the start) and one update. */
export interface Optimizer {
  state(parameters: number): Readonly<Record<string, TensorType>>;
  update(input: UpdateInput): UpdateResult;
  /** Weights that are handed out in the place of those that the gradient is taken at, from them and the parts of the state that it names. */
  readonly published?: {
    readonly reads: readonly string[];
    readonly of: (weights: ArrayLike<number>, state: Readonly<Record<string, ArrayLike<number>>>) => Float32Array;
  };
}

export interface AdamWOptions {
  /** Default 0.9. */
  readonly beta1?: number;
  /** Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Decoupled: per step `w <- w (1 - learningRate * weightDecay)`. Default 0. */
  readonly weightDecay?: number;
}

/**
 * AdamW.
 *
 *     m <- β1 m + (1 - β1) g,  v <- β2 v + (1 - β2) g²
 *     w <- w (1 - η d) - η (m / c1) / (sqrt(v / c2) + ε),  c = 1 - β^t
 *
 * c is carried as state, `c <- (1 - β) + β c`, which keeps its digits in float32 where `1 - β^t` loses them.
 * Source: Loshchilov and Hutter, arXiv 1711.05101, in PyTorch's form.
 */
export function adamW({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamWOptions = {}): Optimizer {
  return {
    state: (parameters) => ({
      firstMoment: { dtype: "float32", shape: [parameters] },
      secondMoment: { dtype: "float32", shape: [parameters] },
      correction1: { dtype: "float32", shape: [] },
      correction2: { dtype: "float32", shape: [] },
    }),
    update({ weights, gradient, state, learningRate }) {
      const { firstMoment, secondMoment, correction1, correction2 } = state as Record<string, Tensor> &
        Record<"firstMoment" | "secondMoment" | "correction1" | "correction2", Tensor>;
      const m = add(mul(firstMoment, beta1), mul(gradient, 1 - beta1));
      const v = add(mul(secondMoment, beta2), mul(mul(gradient, gradient), 1 - beta2));
      const c1 = add(mul(correction1, beta1), 1 - beta1);
      const c2 = add(mul(correction2, beta2), 1 - beta2);
      const denominator = add(div(sqrt(v), sqrt(c2)), epsilon);
      const decayed = weightDecay === 0 ? weights : mul(weights, sub(1, mul(learningRate, weightDecay)));
      return {
        weights: sub(decayed, mul(div(learningRate, c1), div(m, denominator))),
        state: { firstMoment: m, secondMoment: v, correction1: c1, correction2: c2 },
      };
    },
  };
}

/**
 * Schedule-free AdamW: the gradient is taken between a fast point z and the average x of all fast points, which is what is handed out.
 *
 *     y = (1 - β1) z + β1 x                         the weights that are trained
 *     v <- β2 v + (1 - β2) g²,  u = g / (sqrt(v / (1 - β2^t)) + ε) + d y
 *     z <- z - η u,  x <- (1 - c) x + c z,  c = η² / Σ η²
 *
 * Kept are y and z - y, which is 0 at the start. No schedule but a warm-up is meant to be used with it.
 * Source: Defazio et al., arXiv 2405.15682, and the authors' `AdamWScheduleFree`.
 */
export function scheduleFreeAdamW({
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
  weightDecay = 0,
  average = true,
}: AdamWOptions & { readonly average?: boolean } = {}): Optimizer {
  return {
    state: (parameters) => ({
      offset: { dtype: "float32", shape: [parameters] },
      secondMoment: { dtype: "float32", shape: [parameters] },
      correction2: { dtype: "float32", shape: [] },
      rates: { dtype: "float32", shape: [] },
    }),
    update({ weights, gradient, state, learningRate }) {
      const { offset, secondMoment, correction2, rates } = state as Record<string, Tensor> &
        Record<"offset" | "secondMoment" | "correction2" | "rates", Tensor>;
      const v = add(mul(secondMoment, beta2), mul(mul(gradient, gradient), 1 - beta2));
      const c2 = add(mul(correction2, beta2), 1 - beta2);
      const scaled = div(gradient, add(div(sqrt(v), sqrt(c2)), epsilon));
      const u = mul(weightDecay === 0 ? scaled : add(scaled, mul(weights, weightDecay)), learningRate);
      const square = mul(learningRate, learningRate);
      const sum = add(rates, square);
      // Steps of a warm-up that begins at 0 have no part in the average.
      const c = div(square, ops.where(ops.less(0, sum), sum, 1));
      // y' - y: towards z by c, and along the step by what of it y shares.
      const moved = add(mul(offset, c), mul(u, sub(mul(sub(1, c), beta1), 1)));
      return {
        weights: add(weights, moved),
        state: { offset: sub(sub(offset, u), moved), secondMoment: v, correction2: c2, rates: sum },
      };
    },
    ...(average && {
      published: {
        reads: ["offset"],
        // x = y - (1 - β1) / β1 (z - y)
        of: (weights, { offset = [] }) =>
          Float32Array.from(weights, (y, i) => y - ((1 - beta1) / beta1) * (offset[i] as number)),
      },
    }),
  };
}

export interface SgdOptions {
  /** Default 0: no velocity is kept. */
  readonly momentum?: number;
  /** Added to the gradient, `g + weightDecay w`. Default 0. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent: `u <- μ u + g + d w`, `w <- w - η u`. Source: PyTorch's `SGD`, no dampening. */
export function sgd({ momentum = 0, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  return {
    state: (parameters) => (momentum === 0 ? {} : { velocity: { dtype: "float32", shape: [parameters] } }),
    update({ weights, gradient, state, learningRate }) {
      const g = weightDecay === 0 ? gradient : add(gradient, mul(weights, weightDecay));
      const velocity = state.velocity === undefined ? g : add(mul(state.velocity, momentum), g);
      return {
        weights: sub(weights, mul(velocity, learningRate)),
        state: state.velocity === undefined ? {} : { velocity },
      };
    },
  };
}

/** `g * min(1, maxNorm / (‖g‖ + 1e-6))`, as PyTorch's `clip_grad_norm_`. */
export const clipByNorm = (gradient: Tensor, norm: Tensor, maxNorm: number): Tensor =>
  mul(gradient, ops.minimum(div(maxNorm, add(norm, 1e-6)), ops.constant(1, gradient.dtype)));
