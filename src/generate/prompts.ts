import { BoosterError } from "../errors.ts";
import type { Model } from "../models/index.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";

/** A prompt as token ids. */
export type Prompt = ArrayLike<number>;

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

/** Prompts without their padding, as arguments of the prefill program; `last` is the place of each prompt's last token. */
export function packPrompts(prompts: readonly Prompt[]): Record<string, HostTensor> {
  const time = Math.max(...prompts.map((prompt) => prompt.length));
  const tokens = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
  const [inputIds, row, column] = [new Int32Array(tokens), new Int32Array(tokens), new Int32Array(tokens)];
  const grid = new Int32Array(prompts.length * time).fill(-1);
  const last = new Int32Array(prompts.length);
  let token = 0;
  for (const [r, prompt] of prompts.entries()) {
    for (let t = 0; t < prompt.length; t++) {
      inputIds[token] = prompt[t] as number;
      row[token] = r;
      column[token] = t;
      grid[r * time + t] = token++;
    }
    last[r] = token - 1;
  }
  return {
    inputIds: tensor("int32", [tokens], inputIds),
    grid: tensor("int32", [prompts.length, time], grid),
    row: tensor("int32", [tokens], row),
    column: tensor("int32", [tokens], column),
    last: tensor("int32", [prompts.length], last),
  };
}
