import { isRefusal } from "../../evaluate/index.ts";
import {
  angleGap,
  initialRange,
  type LayerCurve,
  type LayerStates,
  layerCosines,
} from "../../methods/finetuning/safety-layers/cosines.ts";
import { type LayerRange, scaledNames } from "../../methods/finetuning/safety-layers/layers.ts";
import { type SearchResult, searchSafetyLayers } from "../../methods/finetuning/safety-layers/search.ts";
import { asAdapter, type LoadedModel } from "../../models/load.ts";
import { RandomStream } from "../../tensor/random.ts";
import type { Question } from "../data.ts";
import { openRespondent } from "../respondent.ts";
import { lastTokenStates } from "./layer-states.ts";

export interface SafetyLayersOptions {
  readonly base: LoadedModel;
  /** Harmless and harmful questions, of which pairs are compared. */
  readonly normal: readonly Question[];
  readonly malicious: readonly Question[];
  /** Harmless questions that sound harmful: how many are refused is what the search looks at. */
  readonly overRejection: readonly Question[];
  /** What the layers' matrices are multiplied by. Default 1.15; below 1 the fewest refusals are looked for. */
  readonly factor?: number;
  /** Where the search begins; by default where the curve says. */
  readonly initial?: LayerRange;
  /** Random pairs of each kind. Default 500. */
  readonly pairs?: number;
  readonly seed?: number;
  /** Default true; false as in the paper's table, which was made without. */
  readonly scaleOProj?: boolean;
  /** Longest answer, in tokens. Default 16. */
  readonly maxNewTokens?: number;
  /** Questions answered at once. Default 16. */
  readonly batchSize?: number;
  /** Default: a phrase that refusals use. */
  readonly refuses?: (answer: string) => boolean;
  readonly onTried?: (range: LayerRange, refusals: number) => void;
}

export interface SafetyLayersFound extends SearchResult {
  /** Degrees for each layer. */
  readonly gap: LayerCurve;
  readonly initial: LayerRange;
  /** Refusals of the unchanged model. */
  readonly baseline: number;
}

/**
 * The safety layers of a model: where normal and malicious queries part, then the layers whose scaling changes over-rejection most. What
 * it finds is the option `layers` of the method `safety-layers`.
 *
 * Source: Li et al., arXiv 2408.17003, section 3.
 *
 * @throws {BoosterError} `LAYER_RANGE_INVALID`, `SAFETY_LAYERS_NOT_FOUND`, and what loading and generating throw
 * @example
 * const { range } = await findSafetyLayers({ base, normal, malicious, overRejection });
 */
export async function findSafetyLayers(options: SafetyLayersOptions): Promise<SafetyLayersFound> {
  const { base, factor = 1.15, scaleOProj = true } = options;
  const gap = await gapOf(options);
  const initial = options.initial ?? initialRange(gap);
  const baseline = await refusalsOf(base, options);
  const found = await searchSafetyLayers({
    layers: base.model.layers,
    initial,
    extreme: factor >= 1 ? "largest" : "smallest",
    async count(range) {
      const refusals = await refusalsOf(await scaleLayers(base, range, { factor, scaleOProj }), options);
      options.onTried?.(range, refusals);
      return refusals;
    },
  });
  return { ...found, gap, initial, baseline };
}

async function gapOf({ base, normal, malicious, pairs = 500, seed = 42 }: SafetyLayersOptions): Promise<LayerCurve> {
  const statesOf = (questions: readonly Question[]) =>
    lastTokenStates(
      base,
      questions.map(({ ids }) => ids),
    );
  const [N, M] = [await statesOf(normal), await statesOf(malicious)];
  const drawn = (name: string, first: readonly LayerStates[], second: readonly LayerStates[]) => {
    const random = new RandomStream(seed, `safety-layers/${name}`);
    return Array.from({ length: pairs }, (_, i) => {
      const a = random.integer(2 * i, first.length);
      // Two different queries, where both come from one set.
      const skipped = first === second ? 1 : 0;
      const b = random.integer(2 * i + 1, second.length - skipped);
      const other = skipped === 1 && b >= a ? b + 1 : b;
      return layerCosines(first[a] as LayerStates, second[other] as LayerStates);
    });
  };
  return angleGap(drawn("normal", N, N), drawn("malicious", N, M));
}

/**
 * The model with a range of layers multiplied by a factor; the other weights are shared with `base`.
 *
 * @example
 * const scaled = await scaleLayers(base, [6, 14], { factor: 1.15, scaleOProj: true });
 */
export async function scaleLayers(
  base: LoadedModel,
  range: LayerRange,
  { factor, scaleOProj }: { readonly factor: number; readonly scaleOProj: boolean },
): Promise<LoadedModel> {
  const names = new Set(scaledNames(base.model, range, { scaleOProj }));
  const load = (name: string) => {
    const found = base.load(name);
    return names.has(name) ? { ...found, data: found.data.map((x) => factor * x) } : found;
  };
  const uploaded: Record<string, LoadedModel["weights"][string]> = {};
  for (const name of names) uploaded[name] = await base.device.upload(load(name));
  return { ...base, weights: { ...base.weights, ...uploaded }, load };
}

async function refusalsOf(model: LoadedModel, options: SafetyLayersOptions): Promise<number> {
  const { overRejection, maxNewTokens = 16, batchSize = 16, refuses = isRefusal } = options;
  const respondent = await openRespondent(model, asAdapter(undefined));
  const answers = await respondent(overRejection, new Map(), { maxNewTokens, batchSize });
  return answers.filter(refuses).length;
}
