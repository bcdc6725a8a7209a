import type { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { LoraAdapter } from "../models/adapters.ts";
import type { ObserveOptions, Sums } from "../models/observe.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import type { Row } from "./row.ts";

export type { LoraAdapter };

/** Data that a transform may read through the model, each by the name of its option. */
export type Calibration = "harmful" | "alignment";

/** What a transform is given. Everything is in host memory; the model itself is only reached through `observe`. */
export interface TransformContext {
  /** The change that is repaired: the user's, or in the alignment stage the alignment's. */
  readonly adapter: LoraAdapter;
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
    options: ObserveOptions,
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

/** A transform whose settings are chosen. */
export interface Transform {
  /** Data that it reads. */
  readonly needs: readonly Calibration[];
  /** Whether an adapter that comes out as it went in is a mistake, such as names that match nothing. */
  readonly mustChange: boolean;
  /** Whether it changes the user's own factors, not what they amount to. */
  readonly ownFactors?: boolean;
  apply(context: TransformContext): Promise<Transformed>;
}

/** @throws {BoosterError} `TRANSFORM_UNFIT` for a transform of the user's own factors where the user went on with the alignment's */
export function checkOwnFactors({ ownFactors = false }: Transform, continued: boolean): void {
  if (!ownFactors || !continued) return;
  throw new BoosterError("TRANSFORM_UNFIT", "a continued adapter has no factors that are the user's alone", {
    hint: "Use target: delta, or fine-tune with adapterPolicy: merge-and-fresh.",
  });
}

/** A change of an adapter, made once, without training, after the alignment or after the fine-tuning: one file and one row of `TRANSFORMS`. */
export interface TransformRow<Name extends string, Options extends z.ZodObject>
  extends Row<Name, Options, Transform, "align" | "repair"> {
  /** A trivial one, which stands in tables to be beaten. */
  readonly baseline?: true;
}

export const transform = <const Name extends string, Options extends z.ZodObject>(
  row: TransformRow<Name, Options>,
): TransformRow<Name, Options> => row;
