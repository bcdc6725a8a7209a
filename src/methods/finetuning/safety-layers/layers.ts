import { BoosterError } from "../../../errors.ts";

/** First and last layer, counted from 0, both included; empty where the last is before the first. */
export type LayerRange = readonly [first: number, last: number];

const LAYER = /(?:^|\.)(?:layers|h)\.(\d+)\./;
/** The parts of a block that compute, as opposed to its norms. */
const COMPUTES = /\.(?:self_attn|attn|mlp|fc1|fc2)\./;
const OUTPUT_PROJECTION = /\.o_proj\./;
const WEIGHT = /\.weight$/;

function isWithin(name: string, [first, last]: LayerRange): boolean {
  const layer = LAYER.exec(name)?.[1];
  return layer !== undefined && first <= Number(layer) && Number(layer) <= last;
}

/** The authors' scripts give the layers before and after the range: to freeze 6 to 11 one passes 5 and 12. */
export const betweenExclusive = (begin: number, end: number): LayerRange => [begin + 1, end - 1];

/**
 * Names of the tensors that stay as they are: the layers' attention and feed-forward parts, LoRA factors on them included,
 * and their norms unless `freezeNorms` is false, as in the authors' code.
 *
 * @example
 * frozenNames(model.weights.keys(), [6, 11], { freezeNorms: true });
 */
export const frozenNames = (
  names: Iterable<string>,
  range: LayerRange,
  { freezeNorms }: { readonly freezeNorms: boolean },
): string[] => [...names].filter((name) => isWithin(name, range) && (freezeNorms || COMPUTES.test(name)));

/**
 * Names of the matrices that are multiplied by a factor to see whether the layers matter for refusals.
 *
 * @param scaleOProj false: without the attention's output projection, as the paper's table was made by a mistake in its code
 */
export const scaledNames = (
  names: Iterable<string>,
  range: LayerRange,
  { scaleOProj }: { readonly scaleOProj: boolean },
): string[] =>
  [...names].filter(
    (name) =>
      isWithin(name, range) &&
      COMPUTES.test(name) &&
      WEIGHT.test(name) &&
      (scaleOProj || !OUTPUT_PROJECTION.test(name)),
  );

/** @throws {BoosterError} `LAYER_RANGE_INVALID` when the range goes beyond the model */
export function checkLast(range: LayerRange, layers: number): void {
  if (range[1] >= layers) throw rangeInvalid(range, layers);
}

export const rangeInvalid = (range: LayerRange, layers: number): BoosterError =>
  new BoosterError("LAYER_RANGE_INVALID", "the model has no such range of layers", {
    expected: `first and last among 0 to ${layers - 1}, both included`,
    found: range.join(" to "),
  });
