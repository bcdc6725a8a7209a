import { z } from "zod";
import { fitting, rowNamed } from "../errors.ts";
import { adamW, type Optimizer, sgd } from "./optimizer.ts";

/** An optimiser that can be chosen by name. */
interface Row {
  readonly name: string;
  readonly options: z.ZodType;
  /** Settings checked and completed. */
  complete(settings: unknown): unknown;
  create(settings: unknown, weightDecay: number): Optimizer;
}

const row = <Options>(
  name: string,
  options: z.ZodType<Options>,
  make: (options: Options, weightDecay: number) => Optimizer,
): Row => {
  const complete = (settings: unknown) => fitting(options, settings, "OPTIMIZER_OPTIONS_INVALID", name);
  return { name, options, complete, create: (settings, weightDecay) => make(complete(settings), weightDecay) };
};

const noOptions = z.strictObject({});
const sgdOptions = z.strictObject({
  momentum: z.number().min(0).lt(1).default(0).describe("share of the last update that goes into the next"),
});

/** Every optimiser; a new one is a function of `optimizer.ts` and one row. */
export const OPTIMIZERS: readonly Row[] = [
  row("adamw", noOptions, (_, weightDecay) => adamW({ weightDecay })),
  row("sgd", sgdOptions, ({ momentum }, weightDecay) => sgd({ momentum, weightDecay })),
];

/**
 * An optimiser by name, its settings checked.
 *
 * @throws {BoosterError} `UNKNOWN_OPTIMIZER`, `OPTIMIZER_OPTIONS_INVALID`
 * @example
 * createOptimizer({ name: "sgd", momentum: 0.9 }, 0.1);
 */
export function createOptimizer({ name, ...settings }: { readonly name: string }, weightDecay: number): Optimizer {
  return rowOf(name).create(settings, weightDecay);
}

/** An optimiser's settings, completed. Throws as `createOptimizer` does. */
export const optimizerSettings = ({ name, ...settings }: { readonly name: string }): unknown =>
  rowOf(name).complete(settings);

const rowOf = (name: string): Row => rowNamed(OPTIMIZERS, name, "UNKNOWN_OPTIMIZER", "no such optimiser");
