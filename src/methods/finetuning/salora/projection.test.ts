import { describe, expect, test } from "vitest";
import type { Matrix } from "../../../tensor/matrix.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { type Factors, fold, initialFactors, project, topDirections } from "./projection.ts";

const entries = (rows: number, columns: number, entry: (i: number, j: number) => number): Matrix =>
  tensor(
    "float64",
    [rows, columns],
    Array.from({ length: rows * columns }, (_, n) => entry(Math.floor(n / columns), n % columns)),
  );
const random = (rows: number, columns: number, seed: number): Matrix => {
  const stream = new RandomStream(seed, "matrix");
  return entries(rows, columns, (i, j) => stream.normal(i * columns + j));
};
const rowsOf = ({ shape }: Matrix): number => shape[0] as number;
const columnsOf = ({ shape }: Matrix): number => shape[1] as number;
const at = (m: Matrix, i: number, j: number): number => m.data[i * columnsOf(m) + j] as number;
const product = (a: Matrix, b: Matrix): Matrix =>
  entries(rowsOf(a), columnsOf(b), (i, j) =>
    Array.from({ length: columnsOf(a) }, (_, k) => at(a, i, k) * at(b, k, j)).reduce((x, y) => x + y, 0),
  );
const transposed = (a: Matrix): Matrix => entries(columnsOf(a), rowsOf(a), (i, j) => at(a, j, i));
const minus = (a: Matrix, b: Matrix): Matrix => entries(rowsOf(a), columnsOf(a), (i, j) => at(a, i, j) - at(b, i, j));
const plus = (a: Matrix, b: Matrix): Matrix => entries(rowsOf(a), columnsOf(a), (i, j) => at(a, i, j) + at(b, i, j));
const identity = (size: number): Matrix => entries(size, size, (i, j) => (i === j ? 1 : 0));
const largest = (a: Matrix): number => Math.max(...Array.from(a.data, Math.abs));
const outer = ({ A, B }: Factors): Matrix => product(B, A);

const OUT = 7;
const WIDTH = 9;
const gram = (seed: number) => {
  const features = random(20, OUT, seed);
  return product(transposed(features), features);
};

describe("the projection", () => {
  const safety = topDirections(gram(1), 3);

  test("C is symmetric, idempotent, and leaves nothing in the safety directions", () => {
    const C = project(safety, identity(OUT));
    expect(largest(minus(C, transposed(C)))).toBeLessThan(1e-12);
    expect(largest(minus(product(C, C), C))).toBeLessThan(1e-12);
    expect(largest(product(safety, project(safety, random(OUT, 4, 2))))).toBeLessThan(1e-12);
  });

  test("the directions are eigenvectors of the Gram matrix and carry most of it", () => {
    const image = product(gram(1), transposed(safety));
    const values = Array.from({ length: 3 }, (_, k) => {
      const along = Array.from({ length: OUT }, (_, i) => at(image, i, k) * at(safety, k, i)).reduce((x, y) => x + y);
      for (let i = 0; i < OUT; i++) expect(at(image, i, k)).toBeCloseTo(along * at(safety, k, i), 9);
      return along;
    });
    expect(values).toEqual([...values].sort((x, y) => y - x));
  });

  test("without safety directions C is the identity", () => {
    const x = random(OUT, 4, 3);
    expect(largest(minus(project(topDirections(gram(1), 0), x), x))).toBe(0);
  });

  test("more directions than the layer has outputs are all of them", () => {
    expect(rowsOf(topDirections(gram(1), 50))).toBe(OUT);
  });
});

describe.each([
  [OUT, WIDTH],
  [WIDTH, OUT],
  [OUT, OUT],
])("initial factors of a [%i, %i] matrix", (out, width) => {
  const W = random(out, width, 4);
  const features = random(20, out, 5);
  const task = topDirections(product(transposed(features), features), 4);

  test("with all task directions they are the best approximation of their rank", () => {
    const all = topDirections(product(transposed(features), features), out);
    // The rank-1 terms are orthogonal, so what is left of W has no part along any of them.
    const factors = initialFactors(W, all, 3);
    const rest = minus(W, outer(factors));
    expect(largest(product(transposed(factors.B), rest))).toBeLessThan(1e-9);
    expect(largest(product(rest, transposed(factors.A)))).toBeLessThan(1e-9);
    const full = initialFactors(W, all, Math.min(out, width));
    expect(largest(minus(W, outer(full)))).toBeLessThan(1e-9);
  });

  test("A and B share the singular values: the norms of their k-th parts agree before the projection", () => {
    const all = topDirections(product(transposed(features), features), out);
    const { A, B } = initialFactors(W, all, 3);
    const squares = (m: Matrix) => product(m, transposed(m));
    for (let k = 0; k < 3; k++) expect(at(squares(A), k, k)).toBeCloseTo(at(squares(transposed(B)), k, k), 9);
  });

  test("B0 lies within the task directions", () => {
    const { B } = initialFactors(W, task, 3);
    expect(largest(project(task, B))).toBeLessThan(1e-12);
  });

  test("folded, the trained adapter on W is the explicit forward on the residual weight", () => {
    const others = random(20, out, 6);
    const own = topDirections(product(transposed(others), others), 2);
    const initial = initialFactors(W, task, 2);
    const trained = { A: random(2, width, 7), B: random(out, 2, 8) };
    const x = random(width, 5, 9);
    const residual = minus(W, product(project(own, initial.B), initial.A));
    const explicit = plus(product(residual, x), product(project(own, trained.B), product(trained.A, x)));
    const folded = plus(product(W, x), product(outer(fold(trained, initial, own)), x));
    expect(largest(minus(explicit, folded))).toBeLessThan(1e-12);
    // Untrained, the function is the original one; trained, no change has a part in the safety directions.
    expect(largest(outer(fold(initial, initial, own)))).toBeLessThan(1e-12);
    expect(largest(product(own, minus(folded, product(W, x))))).toBeLessThan(1e-12);
  });
});

test("a matrix of lower rank than the factors gives finite ones", () => {
  const W = product(random(OUT, 1, 1), random(1, WIDTH, 2));
  const all = topDirections(gram(3), OUT);
  const factors = initialFactors(W, all, 3);
  expect(largest(minus(W, outer(factors)))).toBeLessThan(1e-6);
});
