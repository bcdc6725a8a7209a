/** A point, and whether it is of the first kind. */
export interface Labelled {
  readonly point: ArrayLike<number>;
  readonly positive: boolean;
}

/** A classifier of hidden states that is not trained further. */
export interface Proxy {
  /** Above 0 for the first kind. */
  logit(point: ArrayLike<number>): number;
}

const L2 = 1e-2;
const STEPS = 5000;
const FLAT = 1e-7;

/**
 * Logistic regression on standardised points, by accelerated gradient descent to a flat place:
 *
 *     mean over points of log(1 + exp(-y (u · x + b))) + L2 / 2 ‖u‖²,  L2 = 0.01,  x with mean 0 and deviation 1
 *
 * @example
 * const { logit } = trainProxy([{ point: [0.3, -1], positive: true }, { point: [2, 1], positive: false }]);
 */
export function trainProxy(examples: readonly Labelled[]): Proxy {
  const width = examples[0]?.point.length ?? 0;
  const { mean, deviation } = momentsOf(examples, width);
  const standard = (point: ArrayLike<number>) =>
    Float64Array.from(
      { length: width },
      (_, k) => ((point[k] as number) - (mean[k] as number)) / (deviation[k] as number),
    );
  const rows = examples.map(({ point, positive }) => ({ x: standard(point), y: positive ? 1 : -1 }));
  // The mean square of a standardised point is its width, and the loss bends by a quarter of that at most; one more for b.
  const rate = 1 / ((width + 1) / 4 + L2);
  let [u, before] = [new Float64Array(width + 1), new Float64Array(width + 1)];
  for (let step = 1; step <= STEPS; step++) {
    const momentum = (step - 1) / (step + 2);
    const ahead = u.map((x, k) => x + momentum * (x - (before[k] as number)));
    const gradient = gradientAt(ahead, rows);
    before = u;
    u = ahead.map((x, k) => x - rate * (gradient[k] as number));
    if (Math.max(...gradient.map(Math.abs)) < FLAT) break;
  }
  return { logit: (point) => logitOf(u, standard(point)) };
}

function momentsOf(examples: readonly Labelled[], width: number) {
  const over = (of: (x: number, k: number) => number) =>
    Float64Array.from(
      { length: width },
      (_, k) => examples.reduce((sum, { point }) => sum + of(point[k] as number, k), 0) / examples.length,
    );
  const mean = over((x) => x);
  // A direction in which nothing varies tells nothing.
  const deviation = over((x, k) => (x - (mean[k] as number)) ** 2).map((square) => Math.sqrt(square) || 1);
  return { mean, deviation };
}

function logitOf(u: Float64Array, x: ArrayLike<number>): number {
  let sum = u[x.length] as number;
  for (let k = 0; k < x.length; k++) sum += (u[k] as number) * (x[k] as number);
  return sum;
}

function gradientAt(u: Float64Array, rows: readonly { readonly x: Float64Array; readonly y: number }[]): Float64Array {
  const width = u.length - 1;
  const gradient = u.map((x, k) => (k < width ? L2 * x : 0));
  for (const { x, y } of rows) {
    const slope = -y / (1 + Math.exp(y * logitOf(u, x))) / rows.length;
    for (let k = 0; k < width; k++) gradient[k]! += slope * (x[k] as number);
    gradient[width]! += slope;
  }
  return gradient;
}

/** How well a classifier tells points: the mean of the shares of both kinds, and how sure it is of what is right. */
export interface Score {
  readonly accuracy: number;
  /** Mean of `y * logit`. */
  readonly margin: number;
}

/** Points that are no numbers count as wrong. */
export function scoreOf({ logit }: Proxy, examples: readonly Labelled[]): Score {
  const margins = examples.map(({ point, positive }) => {
    const margin = (positive ? 1 : -1) * logit(point);
    return { positive, margin: Number.isNaN(margin) ? Number.NEGATIVE_INFINITY : margin };
  });
  const share = (of: boolean) => {
    const kind = margins.filter(({ positive }) => positive === of);
    return kind.filter(({ margin }) => margin > 0).length / kind.length;
  };
  return {
    accuracy: (share(true) + share(false)) / 2,
    margin: margins.reduce((sum, { margin }) => sum + margin, 0) / margins.length,
  };
}
