import * as world from "../data/world/moderator.ts";
import { isRefusal, type Moderator, openModerator, ruleModerator } from "../evaluate/index.ts";

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

/**
 * Opens a moderator by name: `world` for the bundled world, or one of `MODERATORS`.
 *
 * @throws {BoosterError} `MODERATOR_UNKNOWN`, `MODERATOR_SETTINGS`, or what opening it throws
 */
export async function openModeration({ name, ...settings }: { readonly name: string }): Promise<Moderation> {
  return name === "world" ? WORLD : { moderator: await openModerator(name, settings), isRefusal };
}
