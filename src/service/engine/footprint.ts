import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { bytesPerToken } from "../../generate/index.ts";
import { createModel } from "../../models/index.ts";
import { openSource } from "../../models/source.ts";
import { sizeOf } from "../../tensor/tensor.ts";

/** What a process takes beside weights and caches. */
const PROCESS = 256 * 2 ** 20;

/** Bytes that a base takes once it is loaded. */
export interface Footprint {
  readonly weights: number;
  /** Of keys and values, where all rows that are written at once are as long as can be. */
  readonly caches: number;
}

/**
 * What a base will take, told by its configuration: float32 copies of its weights, beside them what is stored in fewer bits.
 *
 * @throws {BoosterError} what opening a model throws
 */
export function footprintOf(reference: string, rows: number): Footprint {
  const model = createModel(openSource(reference).base.config());
  const floats = [...model.weights.values()].reduce((sum: number, shape) => sum + 4 * sizeOf(shape), 0);
  const stored = bytesAt(reference);
  return {
    weights: PROCESS + floats + (stored < floats ? stored : 0),
    caches: rows * model.maxPositions * bytesPerToken(model),
  };
}

const bytesAt = (path: string): number =>
  statSync(path).isFile()
    ? statSync(path).size
    : readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
