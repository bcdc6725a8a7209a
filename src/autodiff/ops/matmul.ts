import { broadcastShapes, type Dim, sameDim, sameShape } from "../dim.ts";
import { defineOp, type Emitter, shapeError, type Tensor } from "../tensor.ts";

interface MatmulAttrs {
  /** Factor of the product. */
  readonly alpha: number;
  /** Transpose the last two axes of the first operand. */
  readonly transA: boolean;
  readonly transB: boolean;
}

const flags = ({ alpha, transA, transB }: MatmulAttrs) => ({
  alpha: { float: alpha },
  transA: Number(transA),
  transB: Number(transB),
});

function productShape(op: string, a: Tensor, b: Tensor, { transA, transB }: MatmulAttrs): readonly Dim[] {
  const misfit = () => shapeError(op, "equal batch axes and matching inner axes", [a, b]);
  if (a.rank < 2 || a.rank !== b.rank || a.dtype !== b.dtype) throw misfit();
  const [rows, innerA] = transA ? [a.dim(-1), a.dim(-2)] : [a.dim(-2), a.dim(-1)];
  const [innerB, columns] = transB ? [b.dim(-1), b.dim(-2)] : [b.dim(-2), b.dim(-1)];
  const batch = a.shape.slice(0, -2);
  if (!sameDim(innerA, innerB) || !sameShape(batch, b.shape.slice(0, -2))) throw misfit();
  return [...batch, rows, columns];
}

function lowerProduct(emit: Emitter, names: readonly string[], [a, b]: readonly [Tensor, Tensor], attrs: MatmulAttrs) {
  // Gemm computes the same bits in the same time, but ONNX Runtime knows of its result that it has two axes, whatever else it knows,
  // and its planner then compares it with every buffer that is free: see encode.ts.
  if (a.dtype === "float32" && emit.provider === "cpu") {
    return emit.node("FusedMatMul", names, flags(attrs), "com.microsoft");
  }
  if (a.rank === 2) return emit.node("Gemm", names, flags(attrs));
  const swap = a.shape.map((_, i) => (i === a.rank - 2 ? i + 1 : i === a.rank - 1 ? i - 1 : i));
  const transposed = (name: string, wanted: boolean) =>
    wanted ? emit.node("Transpose", [name], { perm: swap }) : name;
  const [x, y] = names as readonly [string, string];
  const product = emit.node("MatMul", [transposed(x, attrs.transA), transposed(y, attrs.transB)]);
  return attrs.alpha === 1 ? product : emit.node("Mul", [product, emit.constant(b.dtype, [], [attrs.alpha])]);
}

const matmulOp = defineOp<MatmulAttrs, readonly [Tensor, Tensor]>({
  name: "matmul",
  type: ([a, b], attrs) => ({ dtype: a.dtype, shape: productShape("matmul", a, b, attrs) }),
  gradient: ({ inputs: [a, b], cotangent: g, attrs: { alpha, transA, transB } }) => [
    () => (transA ? matmul(b, g, { alpha, transA: transB, transB: true }) : matmul(g, b, { alpha, transB: !transB })),
    () => (transB ? matmul(g, a, { alpha, transA: true, transB: transA }) : matmul(a, g, { alpha, transA: !transA })),
  ],
  lower: (emit, { names, inputs, attrs }) => lowerProduct(emit, names, inputs, attrs),
  samples: (draw) =>
    [false, true].flatMap((transA) =>
      [false, true].map((transB) => {
        const [batch, m, k, n] = [draw.size(), draw.size(), draw.size(), draw.size()];
        const lead = draw.integer(0, 1) === 0 ? [] : [batch];
        return {
          inputs: [
            { shape: [...lead, ...(transA ? [k, m] : [m, k])] },
            { shape: [...lead, ...(transB ? [n, k] : [k, n])] },
          ],
          attrs: { alpha: draw.integer(1, 3) / 2, transA, transB },
        };
      }),
    ),
});

/**
 * `alpha * A B` over the last two axes, each transposed on request; batch axes must be equal.
 *
 * @example
 * matmul(x, weight, { transB: true }); // [tokens, in] x [out, in] -> [tokens, out]
 */
export const matmul = (
  a: Tensor,
  b: Tensor,
  { alpha = 1, transA = false, transB = false }: Partial<MatmulAttrs> = {},
): Tensor => matmulOp([a, b], { alpha, transA, transB });

const matmulAddOp = defineOp<MatmulAttrs, readonly [Tensor, Tensor, Tensor]>({
  name: "matmulAdd",
  type([a, b, c], attrs) {
    const shape = productShape("matmulAdd", a, b, attrs);
    const result = broadcastShapes(shape, c.shape);
    if (a.rank !== 2 || result === undefined || !sameShape(result, shape)) {
      throw shapeError("matmulAdd", "matrices and an addend that broadcasts to their product", [a, b, c]);
    }
    return { dtype: a.dtype, shape };
  },
  lower: (emit, { names, attrs }) => emit.node("Gemm", names, flags(attrs)),
  samples: (draw) => {
    const [m, k, n] = [draw.size(), draw.size(), draw.size()];
    return [
      {
        inputs: [{ shape: [m, k] }, { shape: [n, k] }, { shape: [m, n] }],
        attrs: { alpha: 0.5, transA: false, transB: true },
      },
    ];
  },
});

/** `alpha * A B + C` in one kernel; made by the fusing pass after differentiation, hence without a gradient. */
export function fuseAdd(product: Tensor, addend: Tensor): Tensor | undefined {
  if (product.op !== matmulOp.op || product.rank !== 2) return undefined;
  const result = broadcastShapes(product.shape, addend.shape);
  if (result === undefined || !sameShape(result, product.shape)) return undefined;
  return matmulAddOp([...product.inputs, addend], product.attrs as MatmulAttrs);
}

export const MATMUL_OPS = [matmulOp.op, matmulAddOp.op];
