import { atMost, BoosterError } from "../../errors.ts";

/** Templates in use have at most 20 kB. */
export const MAX_TEMPLATE_BYTES = 64 * 2 ** 10;
/** A million tokens, roughly: more than any context. */
export const MAX_RENDERED_LENGTH = 4 * 2 ** 20;
/**
 * Besides one step for each character of the data. A step is an operation, 64 characters that it makes, or 16 that it goes
 * through; a conversation of a hundred turns needs 20,000. About a second.
 */
export const MAX_STEPS = 2_000_000;
/** Nesting of a template's tags and expressions, and of its macros' calls. */
export const MAX_DEPTH = 100;

/** What is wrong with a template, or with what it is given; as Python's exceptions. */
export class TemplateFault extends Error {}

let allowed = Number.POSITIVE_INFINITY;
let left = allowed;

/**
 * Runs one rendering on its own account: templates are strangers' programs.
 *
 * @param characters of the data
 */
export function metered<T>(characters: number, task: () => T): T {
  allowed = MAX_STEPS + characters;
  left = allowed;
  try {
    return task();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}

/** @throws {BoosterError} `TEMPLATE_ENDLESS` when the rendering has taken more steps than it may */
export function spend(steps: number): void {
  left -= steps;
  if (left >= 0) return;
  throw new BoosterError("TEMPLATE_ENDLESS", "the chat template was stopped", {
    expected: `an end within ${allowed} steps`,
    hint: "A template that needs more is broken or hostile.",
  });
}

/** @throws {BoosterError} `TEMPLATE_OUTPUT_TOO_LARGE`, and what `spend` throws */
export function spendOnLength(length: number): void {
  const problem = "the rendered conversation is too long";
  atMost(MAX_RENDERED_LENGTH, "characters", length, "TEMPLATE_OUTPUT_TOO_LARGE", problem);
  spend(1 + length / 64);
}
