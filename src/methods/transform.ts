import type { z } from "zod";
import { fitting, rowNamed } from "../errors.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import type { ObserveOptions, Sums } from "../models/observe.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { lox } from "./alignment/lox.ts";
import { antidote } from "./postfinetuning/antidote.ts";
import { nlsr } from "./postfinetuning/nlsr.ts";
import { noise } from "./postfinetuning/noise.ts";
import { safeDelta } from "./postfinetuning/safe-delta.ts";
import { safelora } from "./postfinetuning/safelora.ts";
import { safemerge } from "./postfinetuning/safemerge.ts";
import { shrink } from "./postfinetuning/shrink.ts";

export type { LoraAdapter };

/** Data that a transform may read through the model, each by the name of its option. */
export type Calibration = "harmful" | "alignment";

/** What a transform is given. Everything is in host memory; the model itself is only reached through `observe`. */
export interface TransformContext {
  /** The change that is repaired: the user's, or in the alignment stage the alignment's. */
  readonly adapter: LoraAdapter;
  /** The adapter stands for the difference of a continued adapter from the one that it continues, so its factors are nobody's. */
  readonly continued: boolean;
  /** Weight of a linear layer without that change: `[out, in]`. */
  weight(module: string): HostTensor<"float32">;
  /**
   * What alignment changed in that weight, aligned minus unaligned: float64 `[out, in]`.
   * @throws {BoosterError} `ALIGNMENT_MISSING` when nothing is known of it
   */
  alignmentChange(module: string): HostTensor<"float64">;
  /**
   * An adapter that was trained on safety data: by default the alignment's own.
   * @throws {BoosterError} `SAFETY_ADAPTER_MISSING` when none was given
   */
  safety(): LoraAdapter;
  /** Sums over the rows of a data set while the model reads them, with an adapter on the weights without the change, or with none. */
  observe(
    data: Calibration,
    adapter: LoraAdapter | undefined,
    options: Omit<ObserveOptions, "loraScale">,
  ): Promise<{ readonly sums: Sums; readonly rows: number }>;
  /** A stream of random numbers of its own for each name. */
  random(name: string): RandomStream;
}

export interface Transformed {
  /** What replaces the adapter: on the same weights. */
  readonly adapter: LoraAdapter;
  /** Numbers for the run's record, e.g. how many entries were set to zero. */
  readonly report: Readonly<Record<string, number>>;
}

/** A repair of an adapter, made once, without training: one file and one row of `TRANSFORMS`. */
export interface AdapterTransform<Options = unknown> {
  readonly name: string;
  readonly stage: "alignment" | "post-fine-tuning";
  /** A trivial one, which stands in tables to be beaten. */
  readonly baseline?: true;
  readonly options: z.ZodType<Options>;
  /** Data that it reads. */
  needs(options: Options): readonly Calibration[];
  /** Whether an adapter that comes out as it went in is a mistake, such as names that match nothing. */
  mustChange(options: Options): boolean;
  transform(context: TransformContext, options: Options): Promise<Transformed>;
}

/** A transform with its options filled in. */
export interface ConfiguredTransform {
  readonly name: string;
  readonly stage: AdapterTransform["stage"];
  readonly options: unknown;
  readonly needs: readonly Calibration[];
  readonly mustChange: boolean;
  transform(context: TransformContext): Promise<Transformed>;
}

/** A row of the table: a transform with its option type hidden behind its own schema. */
interface Row {
  readonly name: string;
  readonly stage: AdapterTransform["stage"];
  readonly baseline: boolean;
  readonly options: z.ZodType;
  configure(options: unknown): ConfiguredTransform;
}

function row<Options>(of: AdapterTransform<Options>): Row {
  const { name, stage, baseline = false } = of;
  return {
    name,
    stage,
    baseline,
    options: of.options,
    configure(raw) {
      const options = fitting(of.options, raw, "TRANSFORM_OPTIONS_INVALID", name);
      return {
        name,
        stage,
        options,
        needs: of.needs(options),
        mustChange: of.mustChange(options),
        transform: (context) => of.transform(context, options),
      };
    },
  };
}

/** Every transform of an adapter. A new one is one file and one row. */
export const TRANSFORMS: readonly Row[] = [
  row(lox),
  row(antidote),
  row(safelora),
  row(safemerge),
  row(safeDelta),
  row(nlsr),
  row(shrink),
  row(noise),
];

/**
 * A transform by name, its options checked and completed with the paper's defaults.
 *
 * @throws {BoosterError} `UNKNOWN_TRANSFORM`, `TRANSFORM_OPTIONS_INVALID`.
 * @example
 * configureTransform("antidote", { denseRatio: 0.05 }).needs; // ["harmful"]
 */
export function configureTransform(name: string, options: unknown = {}): ConfiguredTransform {
  return rowNamed(TRANSFORMS, name, "UNKNOWN_TRANSFORM", "no such repair of an adapter").configure(options);
}
