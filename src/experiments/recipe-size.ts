import type { Named } from "../choice.ts";
import type { ExperimentOptions } from "./options.ts";
import { passesOf } from "./pipeline.ts";
import { isPick, type Piece, planOf } from "./plan.ts";
import type { Scales } from "./recipes.ts";

/** How much an experiment is. */
export interface Size {
  readonly cells: number;
  readonly pieces: number;
  /** Predicted from what was measured at its scale; absent where nothing was. */
  readonly seconds?: number;
}

/**
 * The size of an experiment, without reading anything that it names.
 *
 * @throws {BoosterError} what `planOf` throws
 * @example
 * sizeOf(options).cells; // 90
 */
export function sizeOf(options: ExperimentOptions, measured?: Scales["world"]["seconds"]): Size {
  const { cells, pieces } = planOf(options, { models: {}, files: {} });
  const size = { cells: cells.length, pieces: pieces.length };
  const known = measured && pieces.map((piece) => secondsOf(piece, measured));
  if (known === undefined || known.includes(undefined)) return size;
  return { ...size, seconds: known.reduce<number>((sum, seconds = 0) => sum + seconds, 0) / options.jobs };
}

function secondsOf({ stage, options }: Piece, { row, evaluation }: NonNullable<Scales["world"]["seconds"]>) {
  if (stage === "evaluate") return evaluation;
  if (stage === "repair" || isPick(options)) return stage === "repair" ? 0 : undefined;
  const { method, steps, epochs, batchSize, sampleNumber, alignment } = options as {
    readonly method: Named;
    readonly steps?: number;
    readonly epochs: number;
    readonly batchSize: number;
    readonly sampleNumber?: number;
    readonly alignment?: { readonly limit?: number };
  };
  const rows = sampleNumber ?? alignment?.limit;
  const all = steps === undefined ? rows && epochs * rows : steps * batchSize;
  return all && all * passesOf(method) * row;
}
