import type { z } from "zod";
import type { Choice } from "../choice.ts";

/** Where in a model's life something is done to it. */
export type Stage = "align" | "finetune" | "repair";

/** A training method or a transform as a row of its table. What tests and searches know of it stands here too, in its own file. */
export interface Row<
  Name extends string = string,
  Options extends z.ZodObject = z.ZodObject,
  Made = unknown,
  At extends Stage = Stage,
> extends Choice<Name, Options, Made> {
  /** Its name in reports. */
  readonly label: string;
  readonly stage: At;
  /**
   * What is tried in the bundled world, the best of it first, by the search of docs/results/world-search.md, and as much for every
   * row: settings, with alignment options of their own where they have some.
   */
  readonly tried: readonly z.input<z.ZodObject<Options["shape"] & { align: z.ZodOptional<z.ZodRecord> }>>[];
}
