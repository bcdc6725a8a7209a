import { BoosterError } from "../../../errors.ts";
import { type Model, partOf, type Role } from "../../../models/index.ts";

/** First and last layer, counted from 0, both included; empty where the last is before the first. */
export type LayerRange = readonly [first: number, last: number];

/** The role of a tensor's module, where it belongs to one of the layers. */
function within(model: Pick<Model, "modules">, name: string, [first, last]: LayerRange): Role | undefined {
  const { role, layer = -1 } = partOf(model, name);
  return first <= layer && layer <= last ? role : undefined;
}

/** The authors' scripts give the layers before and after the range: to freeze 6 to 11 one passes 5 and 12. */
export const betweenExclusive = (begin: number, end: number): LayerRange => [begin + 1, end - 1];

/**
 * Names of the tensors that stay as they are: the layers' attention and feed-forward parts, LoRA factors on them included,
 * and their norms unless `freezeNorms` is false, as in the authors' code.
 *
 * @example
 * frozenNames(model, model.weights.keys(), [6, 11], { freezeNorms: true });
 */
export const frozenNames = (
  model: Pick<Model, "modules">,
  names: Iterable<string>,
  range: LayerRange,
  { freezeNorms }: { readonly freezeNorms: boolean },
): string[] =>
  [...names].filter((name) => {
    const role = within(model, name, range);
    return role !== undefined && (freezeNorms || role !== "norm");
  });

/**
 * Names of the matrices that are multiplied by a factor to see whether the layers matter for refusals.
 *
 * @param scaleOProj false: without the attention's output projection, as the paper's table was made by a mistake in its code
 */
export const scaledNames = (
  { modules }: Pick<Model, "modules">,
  range: LayerRange,
  { scaleOProj }: { readonly scaleOProj: boolean },
): string[] =>
  [...modules.keys()]
    .map((module) => `${module}.weight`)
    .filter((name) => {
      const role = within({ modules }, name, range);
      return role !== undefined && role !== "norm" && (scaleOProj || role !== "output");
    });

/** @throws {BoosterError} `LAYER_RANGE_INVALID` when the range goes beyond the model */
export function checkLast(range: LayerRange, layers: number): void {
  if (range[1] >= layers) throw rangeInvalid(range, layers);
}

export const rangeInvalid = (range: LayerRange, layers: number): BoosterError =>
  new BoosterError("LAYER_RANGE_INVALID", "the model has no such range of layers", {
    expected: `first and last among 0 to ${layers - 1}, both included`,
    found: range.join(" to "),
  });
