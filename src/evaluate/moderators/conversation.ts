import { BoosterError } from "../../errors.ts";
import type { ChatMessage, ChatOptions } from "../../formats/chat-template.ts";
import { encodeChat } from "../../formats/chat-training.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import type { Exchange } from "./moderator.ts";

/** A message as newer templates read it, whose text is one of several parts. */
const inParts = ({ role, content }: ChatMessage): ChatMessage => ({
  role,
  content,
  fields: { content: [{ type: "text", text: content }] },
});

/**
 * Token ids of an exchange in the tokenizer's own template, whichever form of content it reads. Every word of prompt and answer is there.
 *
 * @throws {BoosterError} `CHAT_TEMPLATE_MISSING`, and what `encodeChat` throws
 */
export function encodeConversation(
  tokenizer: Tokenizer,
  { prompt, answer }: Exchange,
  options: ChatOptions = {},
): number[] {
  const { chatTemplate: template } = tokenizer;
  if (template === undefined) {
    throw new BoosterError(
      "CHAT_TEMPLATE_MISSING",
      "this model has no chat template, so it cannot be shown a conversation",
    );
  }
  const messages = [
    { role: "user", content: prompt },
    { role: "assistant", content: answer },
  ];
  const encode = (turns: readonly ChatMessage[]) => encodeChat(tokenizer, template, turns, options, () => true);
  try {
    return encode(messages);
  } catch (error) {
    const mayReadParts =
      error instanceof BoosterError && ["TEMPLATE_DROPS_CONTENT", "TEMPLATE_FAILED"].includes(error.code);
    if (!mayReadParts) throw error;
    return encode(messages.map(inParts));
  }
}
