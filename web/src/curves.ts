/** One line of a chart: its points by rising x. */
export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

/**
 * At most about `most` points that look the same: of each stretch of x the lowest and the highest stay, so that no spike is lost.
 *
 * @example
 * thinned([[1, 5], [2, 9], [3, 0], [4, 5]], 2); // [[2, 9], [3, 0]]
 */
export function thinned(points: Line["points"], most: number): Line["points"] {
  if (points.length <= most) return points;
  const stretches = Math.max(1, Math.floor(most / 2));
  const kept: (readonly [number, number])[] = [];
  for (let i = 0; i < stretches; i++) {
    const from = Math.floor((i * points.length) / stretches);
    const to = Math.floor(((i + 1) * points.length) / stretches);
    let low = from;
    let high = from;
    for (let at = from + 1; at < to; at++) {
      if (points[at]![1] < points[low]![1]) low = at;
      if (points[at]![1] > points[high]![1]) high = at;
    }
    kept.push(points[Math.min(low, high)]!);
    if (low !== high) kept.push(points[Math.max(low, high)]!);
  }
  return kept;
}

/** Lines over one common axis, as uPlot takes them: holes where a line has no point. */
export function aligned(lines: readonly Line[]): [number[], ...(number | null)[][]] {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))].sort((a, b) => a - b);
  const columns = lines.map(({ points }) => {
    const at = new Map(points);
    return xs.map((x) => at.get(x) ?? null);
  });
  return [xs, ...columns];
}

/** Rows for the table beside a chart: some of the steps, evenly, with the first and the last. */
export function sampled(
  lines: readonly Line[],
  most: number,
): { readonly x: number; readonly ys: (number | null)[] }[] {
  const [xs, ...columns] = aligned(lines);
  const every = Math.max(1, Math.ceil(xs.length / most));
  return xs.flatMap((x, i) =>
    i % every === 0 || i === xs.length - 1 ? [{ x, ys: columns.map((column) => column[i] ?? null) }] : [],
  );
}
