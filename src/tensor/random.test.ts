import { expect, test } from "vitest";
import { philox, RandomStream } from "./random.ts";

test("philox gives the known answers of its authors' Random123 (kat_vectors, philox4x32 10)", () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  const ones = 0xffffffff;
  expect(philox([ones, ones, ones, ones], [ones, ones])).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  expect(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])).toEqual([
    0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1,
  ]);
});

test("streams of one seed differ, and are uniform and normal", () => {
  const a = new RandomStream(1, "a");
  const b = new RandomStream(1, "b");
  expect(a.bits(0)).not.toBe(b.bits(0));
  const n = 20_000;
  let mean = 0;
  let square = 0;
  for (let i = 0; i < n; i++) {
    mean += a.uniform(i) / n;
    square += a.normal(i) ** 2 / n;
  }
  expect(mean).toBeCloseTo(0.5, 1);
  expect(square).toBeCloseTo(1, 1);
});

test("a permutation holds every index once and depends on the epoch", () => {
  const stream = new RandomStream(7, "order");
  const first = stream.permutation(100, 0);
  expect([...first].sort((x, y) => x - y)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect([...stream.permutation(100, 1)]).not.toEqual([...first]);
  expect([...stream.permutation(100, 0)]).toEqual([...first]);
});

test("many normals at once: mean, variance and tails of the normal distribution, independent neighbours", () => {
  const n = 40_001;
  const values = new RandomStream(3, "many").normals(n);
  expect(values.length).toBe(n);
  expect([...new RandomStream(3, "many").normals(10)]).toEqual([...values.subarray(0, 10)]);
  const moment = (of: (i: number) => number) => values.reduce((sum, _, i) => sum + of(i), 0) / n;
  const at = (i: number) => values[i % n] as number;
  // Five standard errors of each estimate.
  expect(Math.abs(moment(at))).toBeLessThan(5 / Math.sqrt(n));
  expect(Math.abs(moment((i) => at(i) ** 2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
  expect(Math.abs(moment((i) => at(i) ** 4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
  for (const lag of [1, 2, 3, 4]) expect(Math.abs(moment((i) => at(i) * at(i + lag)))).toBeLessThan(5 / Math.sqrt(n));
});
