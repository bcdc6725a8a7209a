import { BoosterError } from "../errors.ts";
import { type Model, packRows } from "../models/index.ts";
import type { Prompt } from "./row.ts";

/**
 * Refuses what a model cannot continue, before anything is computed.
 *
 * @param where the prompt's place, for the error
 * @throws {BoosterError} `PROMPT_EMPTY`, `PROMPT_TOO_LONG`, `TOKEN_UNKNOWN`
 */
export function checkPrompt(
  prompt: Prompt,
  { maxPositions, vocabSize }: Pick<Model, "maxPositions" | "vocabSize">,
  where: string,
): void {
  if (prompt.length === 0) {
    throw new BoosterError("PROMPT_EMPTY", "a prompt without a single token cannot be continued", { where });
  }
  if (prompt.length >= maxPositions) {
    throw new BoosterError("PROMPT_TOO_LONG", "the prompt leaves the model no position to answer at", {
      expected: `at most ${maxPositions - 1} tokens, the model has ${maxPositions} positions`,
      found: `${prompt.length} tokens`,
      where,
      hint: "Shorten it, or take a model with a longer context.",
    });
  }
  const foreign = Array.from(prompt).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
  if (foreign !== undefined) {
    throw new BoosterError("TOKEN_UNKNOWN", "a token id is outside the model's vocabulary", {
      expected: `0 to ${vocabSize - 1}`,
      found: String(foreign),
      where,
      hint: "Does the tokenizer belong to this model?",
    });
  }
}

/** Parts of prompts without their padding, as arguments of the prefill program. Asked for is the successor of the last token of each, or of all. */
export const packParts = (parts: readonly { readonly ids: readonly number[] }[], asksAll: boolean) =>
  packRows(parts.map(({ ids }) => ({ ids, asked: asksAll ? [...ids.keys()] : [ids.length - 1] })));

/** Tokens that all prompts begin with, and that none of them consists of. */
export function commonBeginning(prompts: readonly Prompt[]): number[] {
  const [first = [], ...others] = prompts;
  const shortest = Math.min(...prompts.map(({ length }) => length - 1));
  let end = 0;
  while (end < shortest && others.every((other) => other[end] === first[end])) end++;
  return Array.from(first).slice(0, end);
}
