import { createHash } from "node:crypto";
import { type Named, settingsOf } from "../choice.ts";
import { MODERATORS } from "../evaluate/index.ts";
import { ATTACKS } from "../methods/attacks/index.ts";
import { DEFENCES } from "../methods/registry.ts";
import { OPTIMIZERS } from "../optim/index.ts";
import { type Json, type RunDescription, sortedJson } from "../train/index.ts";
import { environmentOf } from "./environment.ts";
import { GUARDS } from "./guards.ts";
import type { DeviceChoice } from "./options.ts";

/** Options that say where and on what a run is computed, not what: they may change when it is resumed. */
const OPERATIONAL = ["run", "resume", "provider", "threads", "profile"] as const;

/** Settings, completed, of what an option chooses by name. */
const SETTINGS: Readonly<Record<string, (chosen: Named) => unknown>> = {
  method: (method) => settingsOf(DEFENCES, method),
  optimizer: (optimizer) => settingsOf(OPTIMIZERS, optimizer),
  attack: (attack) => settingsOf(ATTACKS, attack),
  moderator: (moderator) => settingsOf(MODERATORS, moderator),
  moderation: (guard) => settingsOf(GUARDS, guard),
};

/**
 * Options without those that do not determine the result, with the defaults of all that is chosen by name filled in.
 *
 * @throws {BoosterError} the codes of unknown names and wrong settings
 */
export function determining(options: Readonly<Record<string, unknown>>): { readonly [option: string]: Json } {
  const kept = Object.entries(options).filter(([name]) => !(OPERATIONAL as readonly string[]).includes(name));
  const completed = JSON.stringify(Object.fromEntries(kept), (option, value: unknown) => {
    const settings = SETTINGS[option];
    if (settings === undefined || value === undefined) return value;
    const { name } = value as Named;
    return { name, ...(settings(value as Named) as object) };
  });
  return JSON.parse(completed) as { readonly [option: string]: Json };
}

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
