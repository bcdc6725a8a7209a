import { z } from "zod";
import type { ChatMessage } from "../../../formats/chat-template.ts";
import { strict } from "../json.ts";
import { empty, never, refuse, unsupported, unsupportedParameter } from "./fields.ts";

const MOST_MESSAGES = 1024;
const Text = z.string().max(2_000_000);
/** A part of a message; what is no text is told by name when it is read. */
const Part = z.looseObject({ type: z.string().max(50), text: Text.optional() });

const UNSUPPORTED = { tool_calls: empty, function_call: never, tool_call_id: never, audio: never };

const Message = strict({
  role: z.string().max(50),
  content: z.union([Text, z.array(Part).min(1).max(100)]).nullish(),
  name: z.string().max(64).nullish(),
  /** As answers have them, so that these can be sent back. */
  refusal: z.null().optional(),
  annotations: z.array(z.unknown()).max(0).nullish(),
  ...unsupported(UNSUPPORTED),
});
export const Messages = z.array(Message).min(1).max(MOST_MESSAGES);

/** What newer models call `system`. */
const ROLES: Readonly<Record<string, string>> = {
  system: "system",
  developer: "system",
  user: "user",
  assistant: "assistant",
};

/**
 * A conversation as chat templates read it.
 *
 * @throws {ServiceError} `unsupported_parameter` for tools, images and sound
 */
export function conversation(messages: z.output<typeof Messages>, where = "messages"): ChatMessage[] {
  return messages.map((message, i) => {
    const at = `${where}.${i}`;
    refuse(prefixed(message, at), prefixed(UNSUPPORTED, at));
    const role = ROLES[message.role];
    if (role === undefined) throw unsupportedParameter(`${at}.role`, `Roles are ${Object.keys(ROLES).join(", ")}`);
    return { role, content: contentOf(message.content, `${at}.content`) };
  });
}

const prefixed = <T>(record: Readonly<Record<string, T>>, at: string): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [`${at}.${name}`, value]));

const TEXT_PARTS = ["text", "input_text", "output_text"];

function contentOf(content: z.output<typeof Message>["content"], where: string): string {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  return content
    .map(({ type, text }, i) => {
      if (!TEXT_PARTS.includes(type) || text === undefined) throw unsupportedParameter(`${where}.${i}.type`);
      return text;
    })
    .join("");
}
