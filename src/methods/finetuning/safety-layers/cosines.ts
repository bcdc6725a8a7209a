import { BoosterError } from "../../../errors.ts";
import type { LayerRange } from "./layers.ts";

/** Hidden state of a query's last token after each layer, embedding left out: `[layers][hidden]`. */
export type LayerStates = readonly ArrayLike<number>[];

/** One number a layer. */
export type LayerCurve = readonly number[];

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

/** Cosine similarity of two queries after each layer. */
export const layerCosines = (a: LayerStates, b: LayerStates): LayerCurve =>
  a.map((x, layer) => {
    const y = b[layer] as ArrayLike<number>;
    return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
  });

const mean = (curves: readonly LayerCurve[]): LayerCurve =>
  (curves[0] ?? []).map((_, layer) => curves.reduce((sum, curve) => sum + (curve[layer] as number), 0) / curves.length);

/** In degrees; rounding may take a cosine beyond 1. */
const angle = (cosine: number): number => (Math.acos(Math.min(1, Math.max(-1, cosine))) * 180) / Math.PI;

/**
 * How much farther normal queries are from malicious ones than from each other, in degrees for each layer.
 *
 *     "cosines"  angle(mean cos(N, M)) - angle(mean cos(N, N'))     as the authors plot it
 *     "angles"   mean angle(N, M) - mean angle(N, N')
 *
 * The layers from where the gap opens to where it first flattens are the initial range of the search.
 * Source: Li et al., arXiv 2408.17003, section 3.3.
 *
 * @example
 * angleGap([layerCosines(n0, n1)], [layerCosines(n0, m0)]);
 */
export function angleGap(
  normalNormal: readonly LayerCurve[],
  normalMalicious: readonly LayerCurve[],
  meanOf: "cosines" | "angles" = "cosines",
): LayerCurve {
  const curve = (curves: readonly LayerCurve[]) =>
    meanOf === "cosines" ? mean(curves).map(angle) : mean(curves.map((each) => each.map(angle)));
  const among = curve(normalNormal);
  return curve(normalMalicious).map((degrees, layer) => degrees - (among[layer] as number));
}

/** Shares of the largest gap at which it counts as open, and of the steepest rise below which it counts as flat. */
const OPEN = 0.1;
const FLAT = 0.2;

/**
 * Where the gap opens, and the last layer before it first flattens: the range that the search begins with. The paper reads it off the
 * curve by eye; this rule is our own.
 *
 * @throws {BoosterError} `SAFETY_LAYERS_NOT_FOUND` where there is no gap
 * @example
 * initialRange([0, 0, 1, 8, 14, 15, 15]); // [3, 4]
 */
export function initialRange(gap: LayerCurve): LayerRange {
  const largest = Math.max(...gap);
  if (!(largest > 0)) {
    throw new BoosterError("SAFETY_LAYERS_NOT_FOUND", "malicious queries are nowhere farther from normal ones", {
      expected: "a gap above 0 degrees after some layer",
      found: `at most ${largest.toFixed(1)}`,
      hint: "Is the model aligned, and are these its chat template and queries? The search can also be given its initial range.",
    });
  }
  const first = gap.findIndex((degrees) => degrees >= OPEN * largest);
  const rises = gap.map((degrees, layer) => (layer === 0 ? degrees : degrees - (gap[layer - 1] as number)));
  const steepest = Math.max(...rises);
  const flat = rises.findIndex((rise, layer) => layer > first && rise < FLAT * steepest);
  return [first, flat === -1 ? gap.length - 1 : flat - 1];
}
