import { BoosterError } from "../errors.ts";
import { type ChatMessage, type ChatOptions, renderSegments } from "./chat-template.ts";
import { IGNORE } from "./labels.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Token ids of an example and, position by position, the same id where it is trained, else `IGNORE`. */
export interface LabelledTokens {
  readonly ids: number[];
  readonly labels: number[];
}

/** Ids of a conversation as the model sees it; special tokens that a message writes are encoded as plain text. */
export function encodeChat(
  tokenizer: Tokenizer,
  template: string,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): number[] {
  const named = {
    bos: tokenizer.bosId === undefined ? undefined : tokenizer.tokenOf(tokenizer.bosId),
    eos: tokenizer.eosIds[0] === undefined ? undefined : tokenizer.tokenOf(tokenizer.eosIds[0]),
  };
  return tokenizer.encodeSegments(renderSegments(template, messages, { ...named, ...options }));
}

const startsWith = (ids: readonly number[], prefix: readonly number[]): boolean =>
  prefix.length <= ids.length && prefix.every((id, place) => ids[place] === id);

/**
 * Token ids and labels of a conversation: the assistant's turns are trained, with the tokens that end them.
 *
 * The mask comes from rendering prefixes, so it needs no marks in the template: for each assistant turn i,
 * `labels = ids` from the end of `render(messages[0..i), generation prompt)` to the end of `render(messages[0..i])`.
 *
 * @throws {BoosterError} `NO_TRAINED_TOKENS`; `TEMPLATE_NOT_PREFIX` when a shorter conversation is not the beginning of
 * the longer one, token by token, so that training would not match generation
 */
export function renderForTraining(
  tokenizer: Tokenizer,
  template: string,
  messages: readonly ChatMessage[],
): LabelledTokens {
  const ids = encodeChat(tokenizer, template, messages);
  const labels = new Array<number>(ids.length).fill(IGNORE);
  for (const [turn, message] of messages.entries()) {
    if (message.role !== "assistant") continue;
    const before = encodeChat(tokenizer, template, messages.slice(0, turn), { addGenerationPrompt: true });
    const isLast = turn + 1 === messages.length;
    const after = isLast ? ids : encodeChat(tokenizer, template, messages.slice(0, turn + 1));
    if (!startsWith(ids, before) || !startsWith(ids, after)) {
      throw new BoosterError("TEMPLATE_NOT_PREFIX", "what is trained would differ from what is generated", {
        expected: "the prompt's tokens at the beginning of the whole conversation's tokens",
        where: `message ${turn}`,
        hint: "An answer that begins with blanks, or a template that rewrites earlier turns, does this.",
      });
    }
    for (let place = before.length; place < after.length; place++) labels[place] = ids[place] ?? IGNORE;
  }
  if (labels.every((label) => label === IGNORE)) {
    throw new BoosterError("NO_TRAINED_TOKENS", "the conversation has no token to train on", {
      expected: "an assistant message",
      found: `roles: ${messages.map((message) => message.role).join(", ")}`,
    });
  }
  return { ids, labels };
}
