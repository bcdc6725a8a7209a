/** What charts draw of long curves. */
import { expect, test } from "vitest";
import { aligned, sampled, thinned } from "../../web/src/curves.ts";

test("a long curve keeps its spikes, its order and its ends' stretches", () => {
  const points = Array.from({ length: 50_000 }, (_, x) => [x, Math.sin(x / 900)] as const);
  const spiky = points.with(12_345, [12_345, 9]).with(40_000, [40_000, -7]);
  const kept = thinned(spiky, 1000);
  expect(kept.length).toBeLessThanOrEqual(1000);
  expect(kept).toContainEqual([12_345, 9]);
  expect(kept).toContainEqual([40_000, -7]);
  expect(kept.map(([x]) => x)).toEqual(kept.map(([x]) => x).toSorted((a, b) => a - b));
  expect(kept[0]![0]).toBeLessThan(100);
  expect(kept.at(-1)![0]).toBeGreaterThan(49_900);
});

test("a short curve stays as it is", () => {
  const points = [
    [1, 5],
    [2, 5],
  ] as const;
  expect(thinned(points, 10)).toBe(points);
});

test("lines that were measured at different steps share an axis, with holes", () => {
  const lines = [
    {
      label: "a",
      points: [
        [1, 10],
        [3, 30],
      ],
    },
    { label: "b", points: [[2, 20]] },
  ] as const;
  expect(aligned(lines)).toEqual([
    [1, 2, 3],
    [10, null, 30],
    [null, 20, null],
  ]);
  expect(sampled(lines, 2).map(({ x }) => x)).toEqual([1, 3]);
});
