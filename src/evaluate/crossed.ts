import { BoosterError } from "../errors.ts";
import { RandomStream } from "../tensor/random.ts";
import { type Interval, quantile } from "./statistics.ts";

/** What some questions came to in one unit: a sum of values, and how many values. */
export interface Tally {
  readonly sum: number;
  readonly size: number;
}

const DRAWS = 2000;

/**
 * Random weights of `count` things and of one that was not seen, which add up to 1; running sums, so that a stretch of things has
 * the difference of two. The unseen one's weight is Beta(1, count), its quantiles one a draw.
 */
interface Weights {
  readonly unseen: Float64Array;
  /** Of draw d from d * (count + 1) on. */
  readonly upTo: Float64Array;
}

const known = new Map<string, Weights>();

function weightsOf(name: "units" | "clusters", count: number): Weights {
  const key = `${name} ${count}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const random = new RandomStream(0, `crossed/${key}`);
  const order = random.permutation(DRAWS);
  const unseen = Float64Array.from(order, (place) => 1 - ((place + 0.5) / DRAWS) ** (1 / count));
  const upTo = new Float64Array(DRAWS * (count + 1));
  for (let draw = 0; draw < DRAWS; draw++) {
    const start = draw * (count + 1);
    for (let i = 0; i < count; i++) {
      upTo[start + i + 1] = (upTo[start + i] as number) - Math.log(1 - random.uniform(draw * count + i));
    }
    const scale = (1 - (unseen[draw] as number)) / (upTo[start + count] as number);
    for (let i = 1; i <= count; i++) upTo[start + i] = (upTo[start + i] as number) * scale;
  }
  const weights = { unseen, upTo };
  known.set(key, weights);
  return weights;
}

/** A single unit is all that is asked about: there is no other. */
const ALONE: Weights = {
  unseen: new Float64Array(DRAWS),
  upTo: Float64Array.from({ length: 2 * DRAWS }, (_, i) => i % 2),
};

/** Clusters in which all units came to the same have a common column, with the number of clusters. */
function columnsOf(table: readonly (readonly Tally[])[]) {
  const columns = new Map<string, { readonly tallies: readonly Tally[]; count: number }>();
  for (const k of (table[0] ?? []).keys()) {
    const tallies = table.map((row) => row[k] as Tally);
    const key = tallies.map(({ sum, size }) => `${sum}/${size}`).join();
    const column = columns.get(key);
    if (column === undefined) columns.set(key, { tallies, count: 1 });
    else column.count++;
  }
  return [...columns.values()];
}

function check(table: readonly (readonly Tally[])[]): void {
  const clusters = table[0]?.length ?? 0;
  const isWhole = table.every((row) => row.length === clusters && row.some(({ size }) => size > 0));
  const isNumeric = table.every((row) => row.every(({ sum, size }) => Number.isFinite(sum) && Number.isFinite(size)));
  if (clusters > 0 && isWhole && isNumeric) return;
  throw new BoosterError("STATISTICS_INPUT", "an interval cannot be computed", {
    expected: "a row of finite tallies a unit, all of the same clusters, none of them empty",
    found: table.map((row) => row.length).join(", ") || "no unit",
  });
}

/**
 * Confidence interval of a mean over units (seeds, or base models) and question clusters, of values between `least` and `most`. Units
 * answer the same questions, so both are drawn anew, independently of each other, and one unit and one cluster are added that nobody
 * has seen and in which every value is the worst possible:
 *
 *     w = Dirichlet(1, ..., 1) over units + 1, v = the same over clusters + 1
 *     mean* = sum_ik w_i v_k sum_ik / sum_ik w_i v_k size_ik
 *     high = quantile of mean* with the unseen at `most`, low = quantile with the unseen at `least`
 *
 * For units that are all or nothing, and clusters that do not matter, this is Clopper and Pearson's interval: after 0 of 3 it ends at
 * 1 - 0.025^(1/3) = 71 %. It assumes nothing of how units or clusters are distributed. What lies within a unit or a cluster (seeds
 * of a base model, prompts of a hazard) scatters in its values and needs no level of its own. With a single unit the interval is about
 * that unit. Deterministic.
 *
 * Sources: the unseen value: Gaffke 2005, as in Learned-Miller and Thomas, "A new confidence interval for the mean of a bounded random
 * variable", arXiv 1905.06208; products of weights: Owen and Eckles, "Bootstrapping data arrays of arbitrary order", Ann. Appl. Stat. 6,
 * 2012 (conservative); coverage of both together: docs/statistics.md.
 *
 * @param table a row a unit, an entry a cluster
 * @throws {BoosterError} `STATISTICS_INPUT` for tables that are empty, not rectangular or not finite
 * @example
 * const held = [{ sum: 0, size: 20 }, { sum: 0, size: 20 }];
 * crossedInterval([held, held, held]).high; // 0.93: three seeds and two clusters say little
 */
export function crossedInterval(
  table: readonly (readonly Tally[])[],
  { least = 0, most = 1, level = 0.95 }: { least?: number; most?: number; level?: number } = {},
): Interval {
  check(table);
  const units = table.length === 1 ? ALONE : weightsOf("units", table.length);
  const clusters = table[0]?.length ?? 0;
  const { unseen, upTo } = weightsOf("clusters", clusters);
  const columns = columnsOf(table);
  const all = table.flat().reduce((total, { size }) => total + size, 0) / (table.length * clusters);
  const [lows, highs] = [new Float64Array(DRAWS), new Float64Array(DRAWS)];
  const count = table.length;
  const sums = Float64Array.from(columns.flatMap(({ tallies }) => tallies.map(({ sum }) => sum)));
  const sizes = Float64Array.from(columns.flatMap(({ tallies }) => tallies.map(({ size }) => size)));
  const counts = columns.map((column) => column.count);
  for (let draw = 0; draw < DRAWS; draw++) {
    const rest = all * (1 - (1 - (units.unseen[draw] as number)) * (1 - (unseen[draw] as number)));
    let [sum, size, place] = [0, rest, draw * (clusters + 1)];
    // A plain loop: it runs a million times for an interval.
    for (let k = 0; k < counts.length; k++) {
      const next = place + (counts[k] as number);
      const share = (upTo[next] as number) - (upTo[place] as number);
      place = next;
      for (let i = 0, at = draw * (count + 1); i < count; i++, at++) {
        const weight = share * ((units.upTo[at + 1] as number) - (units.upTo[at] as number));
        sum += weight * (sums[k * count + i] as number);
        size += weight * (sizes[k * count + i] as number);
      }
    }
    lows[draw] = (sum + rest * least) / size;
    highs[draw] = (sum + rest * most) / size;
  }
  const tail = (1 - level) / 2;
  return { low: quantile(lows.sort(), tail), high: quantile(highs.sort(), 1 - tail) };
}
