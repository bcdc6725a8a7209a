import { BoosterError } from "../errors.ts";
import type { ChatMessage, ChatOptions } from "../formats/chat-template.ts";
import { encodeChat, templateFor } from "../formats/chat-training.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import type { Answer, BatchOptions, GenerateOptions, Generator } from "./generator.ts";
import { TextStream } from "./text-stream.ts";

/** Text to go on from, or a conversation whose next turn is the assistant's. */
export type TextPrompt = string | readonly ChatMessage[];

interface Stops {
  /** Texts that end an answer and are no part of it, wherever tokens cut them. */
  readonly stopTexts?: readonly string[];
}

export interface Reply extends Answer {
  readonly text: string;
  readonly promptTokens: number;
}

/**
 * Token ids of a prompt: text as it is (with the begin-of-sequence token where the model was trained with one), a
 * conversation through the tokenizer's chat template. Special tokens written in either are plain text.
 *
 * @throws {BoosterError} `CHAT_TEMPLATE_MISSING`, and what encoding throws
 */
export function encodePrompt(
  tokenizer: Tokenizer,
  prompt: TextPrompt,
  variables: Pick<ChatOptions, "variables"> = {},
): number[] {
  if (typeof prompt === "string") return tokenizer.encode(prompt, { addBos: tokenizer.addsBos });
  const template = templateFor(tokenizer, variables);
  if (template === undefined) {
    throw new BoosterError(
      "CHAT_TEMPLATE_MISSING",
      "this model has no chat template, so it cannot read a conversation",
      {
        hint: "Give the prompt as text, or use an instruction-tuned model.",
      },
    );
  }
  return encodeChat(tokenizer, template, prompt, { ...variables, addGenerationPrompt: true });
}

/**
 * Answers to prompts, in their order; an answer ends at the tokenizer's end tokens unless `stopIds` names others.
 *
 * @throws {BoosterError} what `encodePrompt` and `Generator.generate` throw
 * @example
 * const [reply] = await generateText(generator, tokenizer, ["Once upon a time"], { maxNewTokens: 64 });
 */
export async function generateText(
  generator: Generator,
  tokenizer: Tokenizer,
  prompts: readonly TextPrompt[],
  { stopTexts, ...options }: BatchOptions & Stops,
): Promise<Reply[]> {
  const encoded = prompts.map((prompt) => encodePrompt(tokenizer, prompt));
  const streams = encoded.map(() => new TextStream(tokenizer, stopTexts));
  const texts = encoded.map(() => "");
  const answers = await generator.generate(encoded, {
    stopIds: tokenizer.eosIds,
    ...options,
    ends(token, prompt) {
      texts[prompt] += streams[prompt]!.push(token);
      return streams[prompt]!.isOver;
    },
  });
  return answers.map((answer, i) => ({
    ...answer,
    text: texts[i]! + streams[i]!.end(),
    promptTokens: encoded[i]!.length,
  }));
}

/**
 * The answer to one prompt, piece by piece; joined, the pieces are `generateText`'s text.
 *
 * @throws {BoosterError} what `generateText` throws
 * @example
 * for await (const piece of streamText(generator, tokenizer, prompt, { maxNewTokens: 64 })) process.stdout.write(piece);
 */
export async function* streamText(
  generator: Generator,
  tokenizer: Tokenizer,
  prompt: TextPrompt,
  { stopTexts, ...options }: GenerateOptions & Stops,
): AsyncGenerator<string> {
  const stream = new TextStream(tokenizer, stopTexts);
  let fresh = "";
  const ends = (token: number) => {
    fresh += stream.push(token);
    return stream.isOver;
  };
  const ids = generator.stream(encodePrompt(tokenizer, prompt), { stopIds: tokenizer.eosIds, ...options, ends });
  for await (const _ of ids) {
    if (fresh !== "") yield fresh;
    fresh = "";
  }
  const last = fresh + stream.end();
  if (last !== "") yield last;
}
