import type { Watch } from "../errors.ts";
import type { Calibration, LoraAdapter, TransformContext } from "../methods/transform.ts";
import type { Example } from "../models/index.ts";
import { asAdapter, type LoadedModel } from "../models/load.ts";
import { observer } from "../models/observe.ts";
import { RandomStream } from "../tensor/random.ts";

export interface TransformSituation {
  /** The model below the adapter. */
  readonly base: Pick<LoadedModel, "device" | "model" | "weights" | "load">;
  readonly adapter: LoraAdapter;
  readonly alignmentChange: TransformContext["alignmentChange"];
  readonly safety: TransformContext["safety"];
  /** Rows of each data set that the transform needs. */
  readonly calibration: Readonly<Partial<Record<Calibration, readonly Example[]>>>;
  readonly seed: number;
  /** Called before each row that is read. */
  readonly watch?: Watch;
}

/** What a transform is given, with the model behind it. */
export function transformContext(situation: TransformSituation): TransformContext {
  const { base, adapter, alignmentChange, safety, calibration, seed, watch } = situation;
  return {
    adapter,
    alignmentChange,
    safety,
    weight: (module) => base.load(`${module}.weight`),
    random: (name) => new RandomStream(seed, name),
    async observe(data, read, options) {
      const rows = calibration[data] ?? [];
      const on = asAdapter(read);
      const seen = await observer(base, on, options);
      return { sums: await seen.sum(on.tensors, rows, watch), rows: rows.length };
    },
  };
}
