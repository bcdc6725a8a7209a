import { ops, type Tensor } from "../../../autodiff/index.ts";
import { RandomStream } from "../../../tensor/random.ts";
import { tensor } from "../../../tensor/tensor.ts";
import { average, total } from "../../sums.ts";
import { below, indicator, lowerMedian, middle, ranksOf, sorted } from "./ranks.ts";

const { add, div, matmul, maximum, minimum, mul, sub, sum } = ops;

/** What the clients of a round hand in, each a vector, and where all of them began. */
export interface Round {
  readonly global: Tensor;
  readonly clients: readonly Tensor[];
  /** How many of them are thought to be malicious. */
  readonly malicious: number;
}

/** A new global vector, with the weight of each client where there is one. */
export interface Aggregate {
  readonly global: Tensor;
  readonly weights?: readonly Tensor[];
}

const weighted = (clients: readonly Tensor[], weights: readonly Tensor[]): Tensor =>
  total(clients.map((x, i) => mul(x, weights[i] as Tensor)));

/** Entry by entry the middle value. */
const median = ({ clients }: Round): Aggregate => ({ global: lowerMedian(clients) });

/** Entry by entry the mean without the largest and the smallest value. */
const trimmedMean = ({ clients }: Round): Aggregate => ({ global: average(sorted(clients).slice(1, -1)) });

/** Mean of those with weight 1 among 0 and 1, of which there are `count`. */
const meanOf = (clients: readonly Tensor[], chosen: readonly Tensor[], count: number): Aggregate => ({
  global: div(weighted(clients, chosen), count),
  weights: chosen,
});

/**
 * Krum, the mean of several: the client that is nearest to its k = n - f - 1 nearest ones, and these. Distances are not squared.
 * Source: the code of Ye et al., arXiv 2406.10630, of Blanchard et al., NeurIPS 2017.
 */
function krum({ clients, malicious }: Round): Aggregate {
  const n = clients.length;
  const nearest = n - malicious - 1;
  const others = clients.map((_, i) => clients.flatMap((_, j) => (j === i ? [] : [j])));
  const near = clients.map((x, i) => {
    const distances = (others[i] as number[]).map((j) => {
      const apart = sub(x, clients[j] as Tensor);
      return ops.sqrt(sum(mul(apart, apart)));
    });
    const kept = ranksOf(distances).map((rank) => below(rank, nearest));
    return { score: weighted(distances, kept), kept };
  });
  const wins = ranksOf(near.map(({ score }) => score)).map((rank) => below(rank, 1));
  const chosen = clients.map((_, j) =>
    total(
      near.map(({ kept }, i) => {
        const own = i === j ? undefined : (kept[(others[i] as number[]).indexOf(j)] as Tensor);
        return own === undefined ? (wins[i] as Tensor) : mul(wins[i] as Tensor, own);
      }),
    ),
  );
  return meanOf(clients, chosen, nearest + 1);
}

const largest = (xs: readonly Tensor[]): Tensor => xs.reduce((a, b) => maximum(a, b));

/**
 * FoolsGold: clients whose updates point the same way share one say. Of this round's updates alone; mean over clients of a weight
 * above 0, and the plain mean where none is.
 * Source: the code of Ye et al., arXiv 2406.10630, of Fung et al., arXiv 1808.04866.
 */
function foolsGold({ global, clients }: Round): Aggregate {
  const updates = clients.map((x) => sub(x, global));
  const lengths = updates.map((u) => ops.sqrt(sum(mul(u, u))));
  const zero = ops.constant(0, global.dtype);
  const cosines = updates.map((u, i) =>
    updates.map((v, j) => (i === j ? zero : div(sum(mul(u, v)), mul(lengths[i] as Tensor, lengths[j] as Tensor)))),
  );
  const alike = cosines.map(largest);
  const pardoned = cosines.map((row, i) =>
    row.map((cosine, j) => {
      const [own, other] = [alike[i] as Tensor, alike[j] as Tensor];
      return i === j ? cosine : ops.where(ops.less(own, other), div(mul(cosine, own), other), cosine);
    }),
  );
  const say = pardoned.map((row) => minimum(maximum(sub(1, largest(row)), 0), 1));
  const most = largest(say);
  const weights = say.map((v) => {
    const share = div(v, ops.where(ops.less(0, most), most, 1));
    const held = ops.where(ops.equal(share, 1), ops.constant(0.99, v.dtype), share);
    // ln 0 is no number that a program may meet; it would be cut to 0.
    const odds = ops.log(div(maximum(held, 1e-30), sub(1, held)));
    return minimum(maximum(add(odds, 0.5), 0), 1);
  });
  const counted = total(weights.map((v) => indicator(ops.less(0, v), v.dtype)));
  const some = ops.less(0, counted);
  const moved = div(weighted(updates, weights), ops.where(some, counted, 1));
  return { global: ops.where(some, add(global, moved), average(clients)), weights };
}

/** Coordinates that DnC looks at. */
const COORDINATES = 10_000;
/** Squarings of the Gram matrix, after which nothing but its strongest direction is left. */
const SQUARINGS = 16;

/**
 * Divide and conquer: the n - f clients with the smallest part along the direction in which the clients differ most, seen at 10 000
 * coordinates, drawn once.
 * Source: the code of Ye et al., arXiv 2406.10630, of Shejwalkar and Houmansadr, NDSS 2021.
 */
function divideAndConquer({ clients, malicious }: Round): Aggregate {
  const n = clients.length;
  const size = (clients[0] as Tensor).dim(0) as number;
  const drawn =
    size <= COORDINATES ? undefined : new RandomStream(0, "fedit/dnc").permutation(size).slice(0, COORDINATES);
  const index = drawn && ops.constantTensor(tensor("int32", [drawn.length], drawn));
  const seen = clients.map((x) => (index === undefined ? x : ops.gather(x, index)));
  const centre = average(seen);
  const apart = ops.concat(
    seen.map((x) => ops.reshape(sub(x, centre), [1, x.dim(0)])),
    0,
  );
  let gram = matmul(apart, apart, { transB: true });
  for (let i = 0; i < SQUARINGS; i++) {
    const scaled = div(gram, add(ops.max(ops.abs(gram)), 1e-30));
    gram = matmul(scaled, scaled);
  }
  // u u' of the strongest direction u: its diagonal ranks the squared parts along it.
  const scores = clients.map((_, i) => ops.reshape(ops.slice(ops.slice(gram, 0, i, i + 1), 1, i, i + 1), []));
  const kept = n - malicious;
  return meanOf(
    clients,
    ranksOf(scores).map((rank) => below(rank, kept)),
    kept,
  );
}

/** What residual reweighting is set to. */
export interface ResidualOptions {
  readonly lambda: number;
  readonly threshold: number;
}

/**
 * Residual reweighting: entry by entry a line is laid through the sorted values (repeated medians), values far off it count less or
 * are replaced by it, and a client's weight is the square of what its values count for. Three clients are never far off: the mean.
 * Source: the code of Ye et al., arXiv 2406.10630, of Fu et al., arXiv 1912.11464.
 */
export function residual({ clients }: Round, { lambda, threshold }: ResidualOptions): Aggregate {
  const n = clients.length;
  const ranks = ranksOf(clients);
  const values = sorted(clients, ranks);
  const slopes = values.map((y, i) =>
    middle(values.flatMap((other, j) => (j === i ? [] : [div(sub(other, y), j - i)]))),
  );
  const slope = middle(slopes);
  const intercept = sub(middle(values), mul(slope, (n - 1) / 2));
  const line = ranks.map((rank) => add(intercept, mul(slope, rank)));
  const off = clients.map((x, i) => sub(x, line[i] as Tensor));
  const sizes = off.map((e) => ops.abs(e));
  const scale = add(mul(middle(sorted(sizes).slice(1)), 1.4826 * (1 + 5 / (n - 1))), 1e-7);
  const spread = (n * (n * n - 1)) / 12;
  const limit = lambda * Math.sqrt(2 / n);
  const counts = off.map((e, i) => {
    const place = sub(ranks[i] as Tensor, (n - 1) / 2);
    const free = ops.sqrt(sub(1 - 1 / n, div(mul(place, place), spread)));
    const unit = mul(scale, free);
    // The sign falls out: what is cut is cut to the limit.
    const size = sizes[i] as Tensor;
    const cut = div(mul(unit, limit), ops.where(ops.less(0, size), size, 1));
    return ops.where(ops.less(mul(unit, limit), size), cut, ops.constant(1, e.dtype));
  });
  const mean = average(counts);
  const deviation = ops.sqrt(
    div(
      total(
        counts.map((a) => {
          const from = sub(a, mean);
          return mul(from, from);
        }),
      ),
      n - 1,
    ),
  );
  const held = clients.map((x, i) => ops.where(ops.less(counts[i] as Tensor, threshold), line[i] as Tensor, x));
  const scores = counts.map((a) => sum(mul(a, deviation)));
  const best = largest(scores);
  const some = ops.less(1e-12, best);
  const powers = scores.map((score) => {
    const share = div(score, ops.where(some, best, 1));
    return ops.where(some, mul(share, share), ops.constant(1, score.dtype));
  });
  const all = total(powers);
  const weights = powers.map((power) => div(power, all));
  return { global: weighted(held, weights), weights };
}

/** What replaces the mean of the clients where some of them may be malicious; none looks at the sizes of their data. */
export const ROBUST = {
  median,
  "trimmed-mean": trimmedMean,
  krum,
  foolsgold: foolsGold,
  dnc: divideAndConquer,
  residual: (round: Round) => residual(round, { lambda: 2, threshold: 0.05 }),
} as const satisfies Readonly<Record<string, (round: Round) => Aggregate>>;
