import { BoosterError } from "../errors.ts";

/** Eigenvalues in descending order, and as row i of `vectors` the unit eigenvector of the i-th. */
export interface Eigen {
  readonly values: Float64Array;
  /** `[size, size]`, row-major. */
  readonly vectors: Float64Array;
}

/** Each eigenvalue takes two or three; more means that the matrix holds something that is no number. */
const MAX_ITERATIONS = 60;

/**
 * All eigenvalues and eigenvectors of a symmetric matrix: reflections to a tridiagonal one, then implicit QL with shifts.
 *
 * About `6 size³` operations: 600 rows take a second or two. The signs of eigenvectors are arbitrary.
 * Source: Golub and Van Loan, Matrix Computations, 8.3.
 *
 * @param matrix `[size, size]`, row-major
 * @throws {BoosterError} `SHAPE_MISMATCH`, `EIGEN_FAILED` when entries are not finite
 * @example
 * symmetricEigen([2, 1, 1, 2], 2).values; // 3, 1
 */
export function symmetricEigen(matrix: ArrayLike<number>, size: number): Eigen {
  if (matrix.length !== size * size) {
    throw new BoosterError("SHAPE_MISMATCH", "a symmetric matrix has as many rows as columns", {
      expected: `${size * size} entries`,
      found: `${matrix.length}`,
    });
  }
  const { diagonal, beside, vectors } = tridiagonal(Float64Array.from(matrix), size);
  diagonalise(diagonal, beside, vectors, size);
  const order = Array.from(diagonal.keys()).sort((a, b) => (diagonal[b] as number) - (diagonal[a] as number));
  const sorted = new Float64Array(size * size);
  for (const [to, from] of order.entries()) sorted.set(vectors.subarray(from * size, (from + 1) * size), to * size);
  return { values: Float64Array.from(order, (i) => diagonal[i] as number), vectors: sorted };
}

/** `vectors a vectors'` is tridiagonal: `diagonal`, and `beside` it. Row i of `vectors` belongs to entry i. Overwrites a. */
function tridiagonal(a: Float64Array, size: number) {
  const vectors = new Float64Array(size * size);
  for (let i = 0; i < size; i++) vectors[i * size + i] = 1;
  const beside = new Float64Array(size);
  const v = new Float64Array(size);
  const w = new Float64Array(size);
  for (let k = 0; k + 1 < size; k++) {
    let norm = 0;
    for (let i = k + 1; i < size; i++) norm += a[i * size + k]! ** 2;
    norm = Math.sqrt(norm);
    const first = a[(k + 1) * size + k]!;
    const reflected = first > 0 ? -norm : norm;
    beside[k] = norm === 0 ? 0 : reflected;
    if (norm === 0) continue;
    // v, the unit normal of the mirror that sends column k below the diagonal to its first axis.
    const length = Math.sqrt(2 * norm * (norm + Math.abs(first)));
    for (let i = k + 1; i < size; i++) v[i] = (a[i * size + k]! - (i === k + 1 ? reflected : 0)) / length;
    // H a H = a - v w' - w v' with w = 2 (a v - (v' a v) v).
    let along = 0;
    for (let i = k + 1; i < size; i++) {
      let sum = 0;
      for (let j = k + 1, at = i * size + j; j < size; j++, at++) sum += a[at]! * v[j]!;
      w[i] = sum;
      along += sum * v[i]!;
    }
    for (let i = k + 1; i < size; i++) w[i] = 2 * (w[i]! - along * v[i]!);
    for (let i = k + 1; i < size; i++) {
      const vi = v[i]!;
      const wi = w[i]!;
      for (let j = k + 1, at = i * size + j; j < size; j++, at++) a[at] = a[at]! - vi * w[j]! - wi * v[j]!;
    }
    reflectRows(vectors, v, w, k + 1, size);
  }
  return { diagonal: Float64Array.from({ length: size }, (_, i) => a[i * size + i]!), beside, vectors };
}

/** `vectors <- (I - 2 v v') vectors`, v zero before `from`; `scratch` is overwritten. */
function reflectRows(vectors: Float64Array, v: Float64Array, scratch: Float64Array, from: number, size: number): void {
  scratch.fill(0);
  for (let i = from; i < size; i++) {
    const vi = v[i]!;
    for (let j = 0, at = i * size; j < size; j++, at++) scratch[j] = scratch[j]! + vi * vectors[at]!;
  }
  for (let i = from; i < size; i++) {
    const twice = 2 * v[i]!;
    for (let j = 0, at = i * size; j < size; j++, at++) vectors[at] = vectors[at]! - twice * scratch[j]!;
  }
}

/** Turns the tridiagonal matrix into its eigenvalues in `diagonal`, and takes the rows of `vectors` along. */
function diagonalise(diagonal: Float64Array, beside: Float64Array, vectors: Float64Array, size: number): void {
  // What is rounding beside the largest entries stays rounding where a matrix of low rank has nothing but rounding.
  const largest = Math.max(...diagonal.map(Math.abs), ...beside.map(Math.abs));
  for (let start = 0; start < size; start++) {
    for (let iteration = 0; ; iteration++) {
      let end = start;
      while (end + 1 < size && !isNegligible(diagonal, beside, end, largest)) end++;
      if (end === start) break;
      if (iteration === MAX_ITERATIONS || !Number.isFinite(diagonal[start])) {
        throw new BoosterError("EIGEN_FAILED", "the eigenvalues of a matrix were not found", {
          expected: "finite entries",
        });
      }
      chase(diagonal, beside, vectors, size, start, end);
    }
  }
}

const isNegligible = (diagonal: Float64Array, beside: Float64Array, i: number, largest: number): boolean =>
  Math.abs(beside[i]!) <= Number.EPSILON * Math.max(Math.abs(diagonal[i]!) + Math.abs(diagonal[i + 1]!), largest);

/** One implicit QL step on the block `start..end`: a rotation at its end makes a bulge, further ones push it out. */
function chase(d: Float64Array, e: Float64Array, vectors: Float64Array, size: number, start: number, end: number) {
  // The eigenvalue of the leading 2 x 2 block that is nearer to its first entry.
  const half = (d[start + 1]! - d[start]!) / (2 * e[start]!);
  const root = Math.hypot(half, 1);
  let g = d[end]! - d[start]! + e[start]! / (half + (half < 0 ? -root : root));
  let [sine, cosine, shift] = [1, 1, 0];
  for (let i = end - 1; i >= start; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    const radius = Math.hypot(f, g);
    e[i + 1] = radius;
    if (radius === 0) {
      // The block falls apart here.
      d[i + 1]! -= shift;
      e[end] = 0;
      return;
    }
    [sine, cosine] = [f / radius, g / radius];
    const lower = d[i + 1]! - shift;
    const mixed = (d[i]! - lower) * sine + 2 * cosine * b;
    shift = sine * mixed;
    d[i + 1] = lower + shift;
    g = cosine * mixed - b;
    rotate(vectors, i * size, (i + 1) * size, size, sine, cosine);
  }
  d[start]! -= shift;
  e[start] = g;
  e[end] = 0;
}

function rotate(vectors: Float64Array, upper: number, lower: number, size: number, sine: number, cosine: number): void {
  for (let k = 0; k < size; k++) {
    const x = vectors[upper + k]!;
    const y = vectors[lower + k]!;
    vectors[lower + k] = sine * x + cosine * y;
    vectors[upper + k] = cosine * x - sine * y;
  }
}
