import { createHash } from "node:crypto";
import type { Json, RunDescription } from "../train/index.ts";
import { environmentOf } from "./environment.ts";
import type { DeviceChoice } from "./options.ts";

/** Options that say where and on what a run is computed, not what: they may change when it is resumed. */
const OPERATIONAL = ["run", "resume", "provider", "threads", "profile"] as const;

/** Options without those that do not determine the result. */
export function determining(options: Readonly<Record<string, unknown>>): Json {
  const kept = Object.entries(options).filter(([name]) => !(OPERATIONAL as readonly string[]).includes(name));
  return JSON.parse(JSON.stringify(Object.fromEntries(kept))) as Json;
}

/** What run.json says: options, hashes of models and data by role, versions. */
export const describeRun = (
  stage: string,
  options: DeviceChoice & Readonly<Record<string, unknown>>,
  data: Readonly<Record<string, string>>,
): RunDescription => ({
  config: { stage, ...(determining(options) as Record<string, Json>) },
  data,
  environment: environmentOf(options),
});

/** A short name for everything that determines a piece of work. */
export const keyOf = (determinants: unknown): string =>
  createHash("sha256").update(JSON.stringify(determinants)).digest("hex").slice(0, 16);
