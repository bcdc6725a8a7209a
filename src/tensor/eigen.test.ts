import { describe, expect, test } from "vitest";
import { symmetricEigen } from "./eigen.ts";
import { RandomStream } from "./random.ts";

/** A random symmetric matrix `X' X` of the given rank, or with entries of both signs where the rank is 0. */
function randomSymmetric(size: number, rank: number, seed: number): Float64Array {
  const random = new RandomStream(seed, "eigen");
  const a = new Float64Array(size * size);
  const rows = Array.from({ length: rank }, (_, r) =>
    Array.from({ length: size }, (_, i) => random.normal(r * size + i)),
  );
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      const x = rank === 0 ? random.normal(i * size + j) : rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0);
      a[i * size + j] = a[j * size + i] = x;
    }
  }
  return a;
}

/** Largest entries of `a v - value v` and of `V V' - 1`, relative to the largest eigenvalue. */
function residuals(a: Float64Array, size: number) {
  const { values, vectors } = symmetricEigen(a, size);
  const scale = Math.max(...Array.from(values, Math.abs), Number.MIN_VALUE);
  let [equation, orthogonality] = [0, 0];
  for (let k = 0; k < size; k++) {
    for (let i = 0; i < size; i++) {
      let [image, inner] = [0, 0];
      for (let j = 0; j < size; j++) {
        image += a[i * size + j]! * vectors[k * size + j]!;
        inner += vectors[k * size + j]! * vectors[i * size + j]!;
      }
      equation = Math.max(equation, Math.abs(image - values[k]! * vectors[k * size + i]!) / scale);
      orthogonality = Math.max(orthogonality, Math.abs(inner - (i === k ? 1 : 0)));
    }
  }
  return { values, equation, orthogonality };
}

describe("symmetricEigen", () => {
  test.each([
    [1, 0],
    [2, 0],
    [3, 0],
    [10, 0],
    [10, 3],
    [33, 1],
    [60, 60],
    [120, 0],
  ])("%i rows, rank %i: every pair solves the equation, and the vectors are orthonormal", (size, rank) => {
    for (const seed of [1, 2, 3]) {
      const a = randomSymmetric(size, rank, seed);
      const { values, equation, orthogonality } = residuals(a, size);
      expect(equation).toBeLessThan(1e-13 * size);
      expect(orthogonality).toBeLessThan(1e-13 * size);
      expect(Array.from(values)).toEqual([...values].sort((x, y) => y - x));
      const trace = Array.from({ length: size }, (_, i) => a[i * size + i]!).reduce((x, y) => x + y, 0);
      expect(values.reduce((x, y) => x + y, 0)).toBeCloseTo(trace, 8);
      if (rank > 0) for (const value of values.subarray(rank)) expect(Math.abs(value)).toBeLessThan(1e-11 * values[0]!);
    }
  });

  test("the second difference matrix has the eigenvalues 2 - 2 cos(k pi / (n + 1))", () => {
    const size = 40;
    const a = new Float64Array(size * size);
    for (let i = 0; i < size; i++) {
      a[i * size + i] = 2;
      if (i > 0) a[i * size + i - 1] = a[(i - 1) * size + i] = -1;
    }
    const expected = Array.from({ length: size }, (_, i) => 2 - 2 * Math.cos(((size - i) * Math.PI) / (size + 1)));
    for (const [i, value] of symmetricEigen(a, size).values.entries()) expect(value).toBeCloseTo(expected[i]!, 12);
  });

  test("zeros, a diagonal and equal eigenvalues", () => {
    expect(Array.from(symmetricEigen(new Float64Array(9), 3).values)).toEqual([0, 0, 0]);
    expect(Array.from(symmetricEigen([1, 0, 0, 0, 5, 0, 0, 0, 3], 3).values)).toEqual([5, 3, 1]);
    const { values, orthogonality } = residuals(Float64Array.from([3, 1, 1, 1, 3, 1, 1, 1, 3]), 3);
    expect(Array.from(values, (x) => Math.round(x * 1e9) / 1e9)).toEqual([5, 2, 2]);
    expect(orthogonality).toBeLessThan(1e-14);
  });

  test("what is no symmetric matrix of numbers is refused", () => {
    expect(() => symmetricEigen([1, 2, 3], 2)).toThrow(expect.objectContaining({ code: "SHAPE_MISMATCH" }));
    expect(() => symmetricEigen([1, Number.NaN, Number.NaN, 1], 2)).toThrow(
      expect.objectContaining({ code: "EIGEN_FAILED" }),
    );
  });
});
