import { symmetricEigen } from "../../../tensor/eigen.ts";
import { type HostTensor, tensor } from "../../../tensor/tensor.ts";

/** A matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

/** LoRA factors of one linear layer: A `[rank, in]`, B `[out, rank]`. */
export interface Factors {
  readonly A: Matrix;
  readonly B: Matrix;
}

const at = ({ data, columns }: Matrix, row: number, column: number): number => data[row * columns + column] as number;

function build(rows: number, columns: number, entry: (row: number, column: number) => number): Matrix {
  const data = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) data[i * columns + j] = entry(i, j);
  return { rows, columns, data };
}

/** `V' V x`: the part of x `[width, columns]` in the space that the orthonormal rows of V `[rank, width]` span. */
function within(V: Matrix, x: Matrix): Matrix {
  const inner = build(V.rows, x.columns, (k, j) => {
    let sum = 0;
    for (let i = 0; i < V.columns; i++) sum += at(V, k, i) * at(x, i, j);
    return sum;
  });
  return build(x.rows, x.columns, (i, j) => {
    let sum = 0;
    for (let k = 0; k < V.rows; k++) sum += at(V, k, i) * at(inner, k, j);
    return sum;
  });
}

/**
 * The directions in which features vary most: as rows, the top right singular vectors of features Y `[tokens, width]`, from
 * their Gram matrix `Y' Y`. Not centred. At most `width` of them.
 */
export function topDirections(gram: Matrix, count: number): Matrix {
  const { vectors } = symmetricEigen(gram.data, gram.rows);
  const rows = Math.min(count, gram.rows);
  return { rows, columns: gram.rows, data: vectors.subarray(0, rows * gram.rows) };
}

/** `C x = x - V_s' V_s x`: x `[out, columns]` without what lies in the safety directions V_s `[r_s, out]`. */
export function project(safety: Matrix, x: Matrix): Matrix {
  const inside = within(safety, x);
  return build(x.rows, x.columns, (i, j) => at(x, i, j) - at(inside, i, j));
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
  const { rows: out, columns: width } = W;
  const isWide = width > out;
  const size = Math.min(out, width);
  const gram = build(size, size, (i, j) => {
    let sum = 0;
    if (isWide) for (let k = 0; k < width; k++) sum += at(W, i, k) * at(W, j, k);
    else for (let k = 0; k < out; k++) sum += at(W, k, i) * at(W, k, j);
    return sum;
  });
  const { values, vectors } = symmetricEigen(gram.data, size);
  const known: Matrix = { rows: size, columns: size, data: vectors };
  // The other side's vectors follow from these: W v = s u, W' u = s v.
  const roots = Array.from({ length: rank }, (_, k) => Math.sqrt(Math.sqrt(Math.max(values[k] ?? 0, 0))));
  const fromW = (k: number, row: number): number => {
    const root = roots[k] as number;
    if (root === 0) return 0;
    let sum = 0;
    for (let i = 0; i < size; i++) sum += at(known, k, i) * (isWide ? at(W, i, row) : at(W, row, i));
    return sum / root;
  };
  const own = (k: number, row: number): number => {
    const root = roots[k] as number;
    return root === 0 ? 0 : root * at(known, k, row);
  };
  const A = build(rank, width, (k, j) => (isWide ? fromW(k, j) : own(k, j)));
  const U = build(out, rank, (i, k) => (isWide ? own(k, i) : fromW(k, i)));
  return { A, B: within(task, U) };
}

/**
 * The trained adapter as an ordinary one of twice the rank on the unchanged weights:
 *
 *     W_res x + C B A x = W x + [C B, -C B0] [A; A0] x    for W_res = W - C B0 A0
 */
export function fold(trained: Factors, initial: Factors, safety: Matrix): Factors {
  const [B, B0] = [project(safety, trained.B), project(safety, initial.B)];
  const rank = B.columns;
  return {
    A: build(2 * rank, trained.A.columns, (i, j) => (i < rank ? at(trained.A, i, j) : at(initial.A, i - rank, j))),
    B: build(B.rows, 2 * rank, (i, j) => (j < rank ? at(B, i, j) : -at(B0, i, j - rank))),
  };
}

export const matrixOf = ({ shape: [rows = 0, columns = 0], data }: HostTensor<"float32" | "float64">): Matrix => ({
  rows,
  columns,
  data,
});

export const tensorOf = ({ rows, columns, data }: Matrix): HostTensor<"float32"> =>
  tensor("float32", [rows, columns], data);
