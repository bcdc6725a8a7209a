/** Figures that tests print and nobody decides by. */

const sorted = (values: readonly number[]): number[] => values.toSorted((a, b) => a - b);
const quantile = (values: readonly number[], q: number): number =>
  sorted(values)[Math.min(values.length - 1, Math.floor(q * values.length))]!;
export const summary = (values: readonly number[]) => ({
  n: values.length,
  median: +quantile(values, 0.5).toFixed(3),
  p95: +quantile(values, 0.95).toFixed(3),
  most: +Math.max(...values).toFixed(3),
});
export const told = (what: string, figures: object): void => console.log(`${what}: ${JSON.stringify(figures)}`);
