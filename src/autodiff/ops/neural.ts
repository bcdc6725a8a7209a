import type { DType } from "../../tensor/tensor.ts";
import { sameShape } from "../dim.ts";
import { defineOp, type Emitter, shapeError, type Tensor } from "../tensor.ts";
import { sum, sumTo } from "./broadcast.ts";
import { dimSize } from "./constant.ts";
import { div, mul, neg, sub } from "./elementwise.ts";

const softmaxOp = defineOp<null, readonly [Tensor]>({
  name: "softmax",
  type: ([x]) => x,
  gradient: ({ output: y, cotangent: g }) => [() => mul(y, sub(g, sum(mul(g, y), { axes: [-1], keepDims: true })))],
  lower: (emit, { names }) => emit.node("Softmax", names, { axis: -1 }),
  samples: (draw) => [{ inputs: [{ shape: draw.shape(3) }], attrs: null }],
});

/** `e^x / sum(e^x)` over the last axis. */
export const softmax = (x: Tensor): Tensor => softmaxOp([x], null);

interface NormAttrs {
  readonly epsilon: number;
}

/** The normalised value and the inverse root mean square; both ops below read it. */
function lowerRms(emit: Emitter, names: readonly string[], { epsilon }: NormAttrs, dtype: DType): readonly string[] {
  return emit.shared(`rms ${names.join(" ")} ${epsilon}`, () => {
    const kernel = (outputs: number) => {
      const attributes = { axis: -1, epsilon: { float: epsilon }, stash_type: 1 };
      return emit.nodes("SimplifiedLayerNormalization", names, outputs, attributes);
    };
    if (dtype === "float32" && emit.provider === "cpu") return kernel(2);
    // Elsewhere the kernel's second output is float32 whatever the input (CPU, float64) or never written (WebGPU).
    const [x, weight] = names as readonly [string, string];
    const square = emit.node("ReduceMean", [emit.node("Mul", [x, x]), emit.constant("int64", [1], [-1])]);
    const root = emit.node("Sqrt", [emit.node("Add", [square, emit.constant(dtype, [], [epsilon])])]);
    const inverse = emit.node("Reciprocal", [root]);
    const normalised = () => emit.node("Mul", [emit.node("Mul", [x, inverse]), weight]);
    return [dtype === "float32" ? (kernel(1)[0] as string) : normalised(), inverse];
  });
}

const normSamples = (draw: { size(): number }) => {
  const [rows, width] = [draw.size(), draw.size() + 1];
  return [{ inputs: [{ shape: [rows, width] }, { shape: [width] }], attrs: { epsilon: 1e-2 } }];
};

const rmsNormOp = defineOp<NormAttrs, readonly [Tensor, Tensor]>({
  name: "rmsNorm",
  type([x, weight]) {
    if (!sameShape(weight.shape, [x.dim(-1)])) throw shapeError("rmsNorm", "[..., width] and [width]", [x, weight]);
    return x;
  },
  // With r = 1 / rms(x): dx = r (g w) - x r^3 / width * sum(g w x)
  gradient: ({ inputs: [x, weight], cotangent: g, attrs }) => [
    () => {
      const inverse = rmsInverseOp([x, weight], attrs);
      const scaled = mul(g, weight);
      const along = sum(mul(scaled, x), { axes: [-1], keepDims: true });
      const cube = mul(mul(inverse, inverse), inverse);
      return sub(mul(scaled, inverse), mul(x, mul(along, div(cube, dimSize(x.dim(-1), x.dtype)))));
    },
    () => sumTo(mul(mul(g, x), rmsInverseOp([x, weight], attrs)), weight.shape),
  ],
  lower: (emit, { names, attrs, output }) => lowerRms(emit, names, attrs, output.dtype)[0] as string,
  samples: normSamples,
});

/** `x / sqrt(mean(x^2) + epsilon) * weight` over the last axis: x `[..., width]`, weight `[width]`. */
export const rmsNorm = (x: Tensor, weight: Tensor, epsilon: number): Tensor => rmsNormOp([x, weight], { epsilon });

const rmsInverseOp = defineOp<NormAttrs, readonly [Tensor, Tensor]>({
  name: "rmsInverse",
  type: ([x]) => ({ dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] }),
  gradient: ({ inputs: [x], output: r, cotangent: g }) => [
    () => neg(mul(x, mul(g, div(mul(mul(r, r), r), dimSize(x.dim(-1), x.dtype))))),
    undefined,
  ],
  lower: (emit, { names, attrs, output }) => lowerRms(emit, names, attrs, output.dtype)[1] as string,
  samples: normSamples,
});

interface RotaryAttrs {
  readonly heads: number;
}

/** Half-split rotation from elementary operators, for element types without the fused kernel. */
function lowerRotary(emit: Emitter, [x, cos, sin]: readonly string[], heads: number, width: number, half: number) {
  const last = (name: string, start: number, end: number) =>
    emit.node("Slice", [name, ...[start, end, -1].map((v) => emit.constant("int64", [1], [v]))]);
  const wide = (table: string) => emit.node("Unsqueeze", [table, emit.constant("int64", [1], [1])]);
  const split = emit.node("Reshape", [x as string, emit.constant("int64", [3], [-1, heads, width])]);
  const [first, second] = [last(split, 0, half), last(split, half, 2 * half)];
  const [c, s] = [wide(cos as string), wide(sin as string)];
  const times = (a: string, b: string) => emit.node("Mul", [a, b]);
  const low = emit.node("Sub", [times(first, c), times(second, s)]);
  const high = emit.node("Add", [times(second, c), times(first, s)]);
  const rest = width > 2 * half ? [last(split, 2 * half, width)] : [];
  const joined = emit.node("Concat", [low, high, ...rest], { axis: -1 });
  return emit.node("Reshape", [joined, emit.constant("int64", [2], [-1, heads * width])]);
}

const rotaryOp = defineOp<RotaryAttrs, readonly [Tensor, Tensor, Tensor]>({
  name: "rotary",
  type([x, cos, sin], { heads }) {
    const width = (x.dim(-1) as number) / heads;
    const turned = 2 * (cos.dim(-1) as number);
    const fits = Number.isInteger(width) && width >= turned && sameShape(cos.shape, [x.dim(0), turned / 2]);
    if (x.rank !== 2 || !fits || !sameShape(cos.shape, sin.shape)) {
      throw shapeError("rotary", "[tokens, heads * width] and two [tokens, at most width / 2]", [x, cos, sin]);
    }
    return x;
  },
  gradient: ({ inputs: [, cos, sin], cotangent, attrs }) => [
    () => rotary(cotangent, cos, neg(sin), attrs.heads),
    undefined,
    undefined,
  ],
  lower(emit, { names, inputs: [x, cos], attrs: { heads } }) {
    const [value, cosine, sine] = names as unknown as readonly [string, string, string];
    const half = cos.dim(-1) as number;
    const width = (x.dim(-1) as number) / heads;
    if (x.dtype !== "float32") return lowerRotary(emit, names, heads, width, half);
    const shape = emit.constant("int64", [3], [1, -1, heads * width]);
    const batched = emit.node("Reshape", [value, shape]);
    const [positions] = emit.shared(`rotary positions ${cosine}`, () => {
      const first = emit.constant("int64", [], [0]);
      const numbers = emit.node("Range", [first, emit.dim(x.dim(0)), emit.constant("int64", [], [1])]);
      return [emit.node("Unsqueeze", [numbers, emit.constant("int64", [1], [0])])];
    });
    const inputs = [batched, positions as string, cosine, sine];
    const part = width > 2 * half ? { rotary_embedding_dim: 2 * half } : {};
    const attributes = { interleaved: 0, num_heads: heads, ...part };
    const turned = emit.node("RotaryEmbedding", inputs, attributes, "com.microsoft");
    return emit.node("Reshape", [turned, emit.constant("int64", [2], [-1, heads * width])]);
  },
  samples: (draw) => {
    const [tokens, heads, half] = [draw.size(), draw.size(), draw.size()];
    const table = { shape: [tokens, half] };
    return [2 * half, 2 * half + draw.size()].map((width) => ({
      inputs: [{ shape: [tokens, heads * width] }, table, table],
      attrs: { heads },
    }));
  },
});

/**
 * Turns each head's pairs `(x[i], x[i + half])` by the angles given as cosines and sines; what lies behind `2 half` in a head stays.
 * x `[tokens, heads * width]`, tables `[tokens, half]`; the tables get no gradient.
 * Source: Su et al., arXiv 2104.09864, in Hugging Face's half-split layout.
 */
export const rotary = (x: Tensor, cos: Tensor, sin: Tensor, heads: number): Tensor =>
  rotaryOp([x, cos, sin], { heads });

export const NEURAL_OPS = [softmaxOp.op, rmsNormOp.op, rmsInverseOp.op, rotaryOp.op];
