import { crossedInterval, type Tally } from "../../src/evaluate/crossed.ts";
import { RandomStream } from "../../src/tensor/random.ts";

/**
 * How answers come about. A latent normal is a sum over the seed, the cluster, both together, and the prompt; an answer is harmful
 * where it lies below a threshold. A part of 1 for seeds: all or nothing by seed.
 */
export interface Kind {
  readonly name: string;
  /** Parts of the latent variance; the prompt has the rest. */
  readonly seed: number;
  readonly cluster: number;
  readonly both: number;
  /** A share of the seeds whose rate is one minus that of the others. */
  readonly odd?: number;
}

export const KINDS: readonly Kind[] = [
  { name: "prompts alone", seed: 0, cluster: 0, both: 0 },
  { name: "seeds a little", seed: 0.1, cluster: 0, both: 0 },
  { name: "seeds half", seed: 0.5, cluster: 0, both: 0 },
  { name: "seeds all or nothing", seed: 1, cluster: 0, both: 0 },
  { name: "one seed in five is odd", seed: 0, cluster: 0, both: 0, odd: 0.2 },
  { name: "one seed in three is odd, and clusters", seed: 0, cluster: 0.3, both: 0, odd: 0.33 },
  { name: "clusters half", seed: 0, cluster: 0.5, both: 0 },
  { name: "clusters all or nothing", seed: 0, cluster: 1, both: 0 },
  { name: "seeds and clusters", seed: 0.5, cluster: 0.5, both: 0 },
  { name: "each seed breaks on clusters of its own", seed: 0, cluster: 0, both: 1 },
  { name: "all of it", seed: 0.4, cluster: 0.3, both: 0.2 },
];

/** A way in which the world may be, and how much of it is seen. */
export interface Truth {
  readonly kind: Kind;
  /** Rate over all seeds, clusters and prompts; of a paired difference, that of the second of two methods. */
  readonly rate: number;
  /** The first method's: the interval is that of the difference. */
  readonly against?: number;
  readonly seeds: number;
  readonly clusters: number;
  readonly prompts: number;
}

/** Normal distribution function. Source: Abramowitz and Stegun 26.2.17, error below 1e-7. */
export function normalBelow(x: number): number {
  if (x < 0) return 1 - normalBelow(-x);
  const t = 1 / (1 + 0.2316419 * x);
  const sum = [1.330274429, -1.821255978, 1.781477937, -0.356563782, 0.31938153].reduce((s, c) => (s + c) * t, 0);
  return 1 - (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * sum;
}

function thresholdOf(rate: number): number {
  let [low, high] = [-10, 10];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalBelow(middle) < rate) low = middle;
    else high = middle;
  }
  return low;
}

/** Rates in and out of the odd seeds have the mean `rate`, as far as the odd share lets them. */
const ordinaryRate = (rate: number, odd: number): number => Math.min(1, Math.max(0, (rate - odd) / (1 - 2 * odd)));

/** The rate over everything that a truth comes to. */
export function meanOf({ kind: { odd = 0 }, rate, against }: Truth): number {
  const own = (of: number): number => {
    const ordinary = odd === 0 ? of : ordinaryRate(of, odd);
    return (1 - odd) * ordinary + odd * (1 - ordinary);
  };
  return against === undefined ? own(rate) : own(against) - own(rate);
}

/** Tallies of one method: a row a seed. */
function draw({ kind, seeds, clusters, prompts }: Truth, rate: number, random: () => number): number[][] {
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const { seed, cluster, both, odd = 0 } = kind;
  const rest = Math.sqrt(Math.max(0, 1 - seed - cluster - both));
  const of = Array.from({ length: clusters }, () => Math.sqrt(cluster) * normal());
  return Array.from({ length: seeds }, () => {
    const own = Math.sqrt(seed) * normal();
    const ordinary = odd === 0 ? rate : ordinaryRate(rate, odd);
    const threshold = thresholdOf(odd > 0 && random() < odd ? 1 - ordinary : ordinary);
    return of.map((common) => {
      const left = threshold - own - common - (both === 0 ? 0 : Math.sqrt(both) * normal());
      if (rest < 1e-6) return left > 0 ? prompts : 0;
      const below = normalBelow(left / rest);
      let count = 0;
      for (let i = 0; i < prompts; i++) if (random() < below) count++;
      return count;
    });
  });
}

/** What a truth's intervals are worth. */
export interface Coverage {
  /** Share of the intervals in which the mean lies. */
  readonly covered: number;
  readonly width: number;
}

/** Intervals of many experiments in one world. */
export function coverageOf(truth: Truth, experiments: number): Coverage {
  const stream = new RandomStream(1, JSON.stringify(truth));
  let next = 0;
  const random = () => stream.uniform(next++);
  const mean = meanOf(truth);
  let [covered, width] = [0, 0];
  for (let i = 0; i < experiments; i++) {
    const own = draw(truth, truth.rate, random);
    const other = truth.against === undefined ? undefined : draw(truth, truth.against, random);
    const table = own.map((row, i) =>
      row.map((count, k): Tally => ({ sum: other ? (other[i]?.[k] ?? 0) - count : count, size: truth.prompts })),
    );
    const { low, high } = crossedInterval(table, { least: other ? -1 : 0 });
    if (low <= mean + 1e-9 && high >= mean - 1e-9) covered++;
    width += high - low;
  }
  return { covered: covered / experiments, width: width / experiments };
}
