import { type ConfiguredMethod, configureMethod } from "../methods/registry.ts";
import { configureTransform, TRANSFORMS } from "../methods/transform.ts";

/** Something chosen by name, with its settings. */
export interface Named {
  readonly name: string;
  readonly [setting: string]: unknown;
}

/** A training method by name, with its settings. @throws {BoosterError} `UNKNOWN_METHOD`, `METHOD_OPTIONS_INVALID` */
export const methodOf = ({ name, ...settings }: { readonly name: string }): ConfiguredMethod =>
  configureMethod(name, settings);

/** The settings of a method or transform, completed. Throws its code for wrong ones. */
export function settingsOf(named: Named): Readonly<Record<string, unknown>> {
  const { name, ...settings } = named;
  const isTransform = TRANSFORMS.some((row) => row.name === name);
  const { options } = isTransform ? configureTransform(name, settings) : methodOf(named);
  return options as Readonly<Record<string, unknown>>;
}
