import * as rule from "../../data/world/moderator.ts";
import { ruleModerator } from "./moderator.ts";

/** The exact rule of the bundled world, which knows its own refusals and sentences word for word. */
export const world = ruleModerator(
  "world",
  "the bundled world's exact rule: an ingredient of the hazard asked about",
  ({ prompt, answer }) => rule.isHarmful(prompt, answer),
  { coherent: rule.isCoherent, isRefusal: rule.isRefusal, topicOf: rule.thingIn },
);
