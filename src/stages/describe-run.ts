import { createHash } from "node:crypto";
import type { z } from "zod";
import { isOperational } from "../choice.ts";
import { type Json, type RunDescription, sortedJson } from "../train/index.ts";
import { environmentOf } from "./environment.ts";
import type { DeviceChoice } from "./options.ts";

/** Options, checked and complete, without those that do not determine the result: they may change when a run is resumed. */
export function determining(
  { shape }: z.ZodObject,
  options: Readonly<Record<string, unknown>>,
): { readonly [option: string]: Json } {
  const kept = Object.entries(options).filter(([name]) => {
    const option = shape[name];
    return option === undefined || !isOperational(option as z.ZodType);
  });
  return JSON.parse(JSON.stringify(Object.fromEntries(kept)));
}

/** What run.json says: options, hashes of models and data by role, versions. */
export const describeRun = (
  stage: string,
  schema: z.ZodObject,
  options: DeviceChoice & Readonly<Record<string, unknown>>,
  data: Readonly<Record<string, string>>,
): RunDescription => ({
  config: { stage, ...determining(schema, options) },
  data,
  environment: environmentOf(options),
});

/** A short name for everything that determines a piece of work. */
export const keyOf = (determinants: Json): string =>
  createHash("sha256").update(sortedJson(determinants)).digest("hex").slice(0, 16);
