import { type LayerRange, rangeInvalid } from "./layers.ts";

export interface SearchOptions {
  /** Layers of the model. */
  readonly layers: number;
  /** Where the angle between normal and malicious queries opens, and where it first flattens. */
  readonly initial: LayerRange;
  /** Which count of refusals is looked for: the largest for factors above 1, the smallest below. Default `largest`. */
  readonly extreme?: "largest" | "smallest";
  /** Layers that a bound goes on after its best place without finding a better one. Default 2. */
  readonly patience?: number;
  /** Over-rejections of the model with these layers scaled. */
  count(range: LayerRange): Promise<number>;
}

export interface SearchResult {
  readonly range: LayerRange;
  readonly count: number;
  /** Every range that was tried, in order. */
  readonly tried: readonly { readonly range: LayerRange; readonly count: number }[];
}

/**
 * The layers whose scaling changes the number of refused harmless prompts most: first the upper bound, then, with that, the
 * lower one. A bound goes both ways from where it is, and stops after `patience` layers without a better count; of equal
 * counts the one that was met first stays.
 *
 * Source: Li et al., arXiv 2408.17003, section 3.4; how far a bound looks beyond its best place is not told there, their table shows two
 * layers.
 *
 * @throws {BoosterError} `LAYER_RANGE_INVALID`
 * @example
 * await searchSafetyLayers({ layers: 32, initial: [9, 12], count: (range) => overRejections(scaled(range)) });
 */
export async function searchSafetyLayers(options: SearchOptions): Promise<SearchResult> {
  const { layers, initial, extreme = "largest", patience = 2, count } = options;
  if (!isRange(initial, layers)) throw rangeInvalid(initial, layers);
  const tried: { range: LayerRange; count: number }[] = [];
  const attempt = async (range: LayerRange) => {
    const result = { range, count: await count(range) };
    tried.push(result);
    return result;
  };
  let best = await attempt(initial);
  const isBetter = (a: number, b: number) => (extreme === "largest" ? a > b : a < b);

  const move = async (rangeAt: (shift: number) => LayerRange): Promise<void> => {
    const start = best;
    for (const direction of [1, -1]) {
      let since = 0;
      for (let shift = direction; since < patience; shift += direction) {
        const range = rangeAt(shift);
        if (!isRange(range, layers)) break;
        const found = await attempt(range);
        since = isBetter(found.count, best.count) ? 0 : since + 1;
        if (since === 0) best = found;
      }
      // A better place above says nothing about what lies below: the other way is searched only while none was found.
      if (best !== start) return;
    }
  };
  const [lower, upper] = initial;
  await move((shift) => [lower, upper + shift]);
  const last = best.range[1];
  await move((shift) => [lower - shift, last]);
  return { ...best, tried };
}

const isRange = ([first, last]: LayerRange, layers: number): boolean => 0 <= first && first <= last && last < layers;
