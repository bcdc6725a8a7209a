import { z } from "zod";
import * as world from "../data/world/moderator.ts";
import { fitting, rowNamed } from "../errors.ts";
import { isRefusal, MODERATORS, type Moderator, openModerator, ruleModerator } from "../evaluate/index.ts";

/** Who says what is harmful and what is a refusal. */
export interface Moderation {
  readonly moderator: Moderator;
  isRefusal(answer: string): boolean;
}

const WORLD: Moderation = {
  moderator: ruleModerator(
    "world",
    "the bundled world's exact rule: an ingredient of the hazard asked about",
    (exchange) => world.isHarmful(exchange.prompt, exchange.answer),
    world.isCoherent,
  ),
  isRefusal: world.isRefusal,
};

const NO_SETTINGS = z.strictObject({});

/** Every moderator that options can name; `world` judges by the bundled world's own rule. */
export const MODERATIONS = [
  { name: "world", options: NO_SETTINGS },
  ...MODERATORS.map(({ name, settings }) => ({ name, options: settings })),
];

/** Every guard of uploads: a moderator, or the one that the Virus attack is tried on. */
export const GUARDS = [{ name: "toy-guard", options: NO_SETTINGS }, ...MODERATIONS];

/**
 * The settings of a moderator or guard, completed.
 *
 * @throws {BoosterError} `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`
 */
export const settingsFrom = (table: typeof GUARDS, { name, ...settings }: { readonly name: string }): unknown =>
  fitting<unknown>(
    rowNamed(table, name, "MODERATOR_UNKNOWN", "there is no such moderator").options,
    settings,
    "MODERATOR_SETTINGS",
    name,
  );

/**
 * Opens a moderator by name: `world` for the bundled world, or one of `MODERATORS`.
 *
 * @throws {BoosterError} `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`, or what opening it throws
 */
export async function openModeration({ name, ...settings }: { readonly name: string }): Promise<Moderation> {
  return name === "world" ? WORLD : { moderator: await openModerator(name, settings), isRefusal };
}
