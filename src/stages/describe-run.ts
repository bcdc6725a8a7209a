import { createHash } from "node:crypto";
import { type Json, type RunDescription, sortedJson } from "../train/index.ts";
import { environmentOf } from "./environment.ts";
import { DeviceChoice, ProfileChoice, RunChoice } from "./options.ts";

/** Options that say where and on what a run is computed, not what: they may change when it is resumed. */
const OPERATIONAL = Object.keys({ ...RunChoice.shape, ...DeviceChoice.shape, ...ProfileChoice.shape });

/** Options, checked and complete, without those that do not determine the result. */
export const determining = (options: Readonly<Record<string, unknown>>): { readonly [option: string]: Json } =>
  JSON.parse(JSON.stringify({ ...options, ...Object.fromEntries(OPERATIONAL.map((name) => [name, undefined])) }));

/** What run.json says: options, hashes of models and data by role, versions. */
export const describeRun = (
  stage: string,
  options: DeviceChoice & Readonly<Record<string, unknown>>,
  data: Readonly<Record<string, string>>,
): RunDescription => ({
  config: { stage, ...determining(options) },
  data,
  environment: environmentOf(options),
});

/** A short name for everything that determines a piece of work. */
export const keyOf = (determinants: Json): string =>
  createHash("sha256").update(sortedJson(determinants)).digest("hex").slice(0, 16);
