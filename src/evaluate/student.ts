import { BoosterError } from "../errors.ts";

const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** ln of the gamma function for x > 0 (Lanczos, g = 7, 15 digits). */
function logGamma(x: number): number {
  const t = x - 1 + 7.5;
  const sum = LANCZOS.reduce((total, coefficient, i) => (i === 0 ? coefficient : total + coefficient / (x - 1 + i)), 0);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

/** The regularised incomplete beta function I_x(a, b) by its continued fraction (DLMF 8.17.22, Lentz's method). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m < 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d);
    c = 1 + even / c;
    fraction *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d);
    c = 1 + odd / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return front * fraction;
}

/**
 * Student's t quantile: the value that a t variable with `freedom` degrees of freedom stays below with the given probability.
 *
 * @throws {BoosterError} `STATISTICS_INPUT` when the probability is outside (0, 1) or there is less than one degree of freedom.
 * @example
 * studentQuantile(0.975, 2); // 4.3027
 */
export function studentQuantile(probability: number, freedom: number): number {
  if (!(probability > 0 && probability < 1) || !(freedom >= 1)) {
    throw new BoosterError("STATISTICS_INPUT", "no such quantile of Student's t", {
      expected: "0 < probability < 1 and at least one degree of freedom",
      found: `probability ${probability}, ${freedom} degrees of freedom`,
    });
  }
  if (probability < 0.5) return -studentQuantile(1 - probability, freedom);
  // P(T > t) = I_{v / (v + t^2)}(v / 2, 1 / 2) / 2 falls with t, so bisection over x = v / (v + t^2) finds it.
  const tail = 2 * (1 - probability);
  let low = 0;
  let high = 1;
  for (let i = 0; i < 200 && high - low > 0; i++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (incompleteBeta(middle, freedom / 2, 0.5) < tail) low = middle;
    else high = middle;
  }
  return Math.sqrt((freedom * (1 - high)) / high);
}
