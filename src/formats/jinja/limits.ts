import { atMost, BoosterError } from "../../errors.ts";

/** Templates in use have at most 20 kB. */
export const MAX_TEMPLATE_BYTES = 64 * 2 ** 10;
/** A million tokens, roughly: more than any context. */
export const MAX_RENDERED_LENGTH = 4 * 2 ** 20;
/** A step is an operation, or 64 characters that it makes; a conversation of a hundred turns needs 20,000. About a second. */
export const MAX_STEPS = 2_000_000;
/** Nesting of a template's tags and expressions, and of its macros' calls. */
export const MAX_DEPTH = 100;

/** What is wrong with a template, or with what it is given; as Python's exceptions. */
export class TemplateFault extends Error {}

let left = Number.POSITIVE_INFINITY;

/** Runs one rendering on its own account: templates are strangers' programs. */
export function metered<T>(task: () => T): T {
  left = MAX_STEPS;
  try {
    return task();
  } finally {
    left = Number.POSITIVE_INFINITY;
  }
}

/** @throws {BoosterError} `TEMPLATE_ENDLESS` when the rendering has taken more than `MAX_STEPS` */
export function spend(steps: number): void {
  left -= steps;
  if (left >= 0) return;
  throw new BoosterError("TEMPLATE_ENDLESS", "the chat template was stopped", {
    expected: `an end within ${MAX_STEPS} steps`,
    hint: "A template that needs more is broken or hostile.",
  });
}

/** @throws {BoosterError} `TEMPLATE_OUTPUT_TOO_LARGE`, and what `spend` throws */
export function spendOnLength(length: number): void {
  const problem = "the rendered conversation is too long";
  atMost(MAX_RENDERED_LENGTH, "characters", length, "TEMPLATE_OUTPUT_TOO_LARGE", problem);
  spend(1 + length / 64);
}
