import { symmetricEigen } from "../../../tensor/eigen.ts";
import { type Matrix, multiply, transposed } from "../../../tensor/matrix.ts";
import { tensor } from "../../../tensor/tensor.ts";

/** LoRA factors of one linear layer: A `[rank, in]`, B `[out, rank]`. */
export interface Factors {
  readonly A: Matrix;
  readonly B: Matrix;
}

const matrix = (rows: number, columns: number, data: ArrayLike<number>): Matrix =>
  tensor("float64", [rows, columns], data);

/** `V' V x`: the part of x `[width, columns]` in the space that the orthonormal rows of V `[rank, width]` span. */
const within = (V: Matrix, x: Matrix): Matrix => multiply(transposed(V), multiply(V, x));

/**
 * The directions in which features vary most: as rows, the top right singular vectors of features Y `[tokens, width]`, from
 * their Gram matrix `Y' Y`. Not centred. At most `width` of them.
 */
export function topDirections({ shape: [width = 0], data }: Matrix, count: number): Matrix {
  const rows = Math.min(count, width);
  return matrix(rows, width, symmetricEigen(data, width).vectors.subarray(0, rows * width));
}

/** `C x = x - V_s' V_s x`: x `[out, columns]` without what lies in the safety directions V_s `[r_s, out]`. */
export function project(safety: Matrix, x: Matrix): Matrix {
  const inside = within(safety, x).data;
  return { shape: x.shape, data: Float64Array.from(x.data, (value, i) => value - (inside[i] as number)) };
}

/**
 * Where training begins: `W ~ U S V'` of rank r, `A0 = sqrt(S) V'`, `B0 = V_t' V_t U sqrt(S)`.
 *
 * The singular vectors are those of the smaller Gram matrix of W.
 *
 * @param W `[out, in]`
 * @param task V_t, the task's output directions `[r_t, out]`
 */
export function initialFactors(W: Matrix, task: Matrix, rank: number): Factors {
  const [out = 0, width = 0] = W.shape;
  const isWide = width > out;
  const wide = isWide ? W : transposed(W);
  const [size = 0, length = 0] = wide.shape;
  const { values, vectors } = symmetricEigen(multiply(wide, transposed(wide)).data, size);
  const roots = Array.from({ length: rank }, (_, k) => Math.sqrt(Math.sqrt(Math.max(values[k] ?? 0, 0))));
  const known = matrix(
    rank,
    size,
    Float64Array.from({ length: rank * size }, (_, i) => vectors[i] ?? 0),
  );
  const scaled = (x: Matrix, columns: number, by: (value: number, root: number) => number): Matrix => {
    const of = (value: number, i: number) => {
      const root = roots[Math.floor(i / columns)] as number;
      return root === 0 ? 0 : by(value, root);
    };
    return matrix(rank, columns, Float64Array.from(x.data, of));
  };
  const own = scaled(known, size, (value, root) => root * value);
  // The other side's vectors follow from these: W v = s u, W' u = s v.
  const other = scaled(multiply(known, wide), length, (value, root) => value / root);
  const [A, U] = isWide ? [other, own] : [own, other];
  return { A, B: within(task, transposed(U)) };
}

/**
 * The trained adapter as an ordinary one of twice the rank on the unchanged weights:
 *
 *     W_res x + C B A x = W x + [C B, -C B0] [A; A0] x    for W_res = W - C B0 A0
 */
export function fold(trained: Factors, initial: Factors, safety: Matrix): Factors {
  const below = (x: Matrix, y: Matrix, sign: 1 | -1): Matrix => {
    const [rows = 0, columns = 0] = x.shape;
    return matrix(2 * rows, columns, Float64Array.from([...x.data, ...y.data.map((value) => sign * value)]));
  };
  const [B, B0] = [project(safety, trained.B), project(safety, initial.B)];
  return { A: below(trained.A, initial.A, 1), B: transposed(below(transposed(B), transposed(B0), -1)) };
}
