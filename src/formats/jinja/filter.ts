import { bind } from "./signature.ts";
import type { Kwargs, Value } from "./values.ts";

/** Filters and tests by name, for those that call others. */
export interface Library {
  filter(name: string, value: Value, args: readonly Value[], kwargs: Kwargs): Value;
  test(name: string, value: Value, args: readonly Value[], kwargs: Kwargs): boolean;
}

export type Filter = (value: Value, args: readonly Value[], kwargs: Kwargs, library: Library) => Value;

/** A filter with named parameters. */
export const filter =
  (parameters: string, run: (value: Value, ...args: (Value | undefined)[]) => Value): Filter =>
  (value, args, kwargs) =>
    run(value, ...bind("filter", parameters === "" ? [] : parameters.split(" "), args, kwargs));
