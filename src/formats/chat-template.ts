import { Template } from "@huggingface/jinja";
import { atMost, BoosterError } from "../errors.ts";
import { withDeadline } from "./deadline.ts";
import type { TextSegment } from "./tokenizer.ts";

/** Templates in use have at most 12 kB. */
export const MAX_TEMPLATE_BYTES = 64 * 2 ** 10;
/** A million tokens, roughly: more than any context. */
export const MAX_RENDERED_LENGTH = 4 * 2 ** 20;
/** Milliseconds a stranger's template may take. */
export const TEMPLATE_DEADLINE_MS = 250;
/** Some templates write today's date into the prompt; a fixed one keeps runs reproducible. It is Llama 3's default. */
const TEMPLATE_DATE = "26 Jul 2024";
/** Replaces the engine's own clock, which cannot be passed as a variable; the empty expression shields a first newline. */
const FIXED_CLOCK = `{% macro strftime_now(format) %}${TEMPLATE_DATE}{% endmacro %}{{ '' }}`;

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What a template may ask for besides the messages. */
export interface ChatOptions {
  /** Also write the header of the assistant's next turn. */
  readonly addGenerationPrompt?: boolean;
  /** Text of the begin- and end-of-sequence tokens. */
  readonly bos?: string | undefined;
  readonly eos?: string | undefined;
  /** Stop the template after this many milliseconds; for templates from strangers. */
  readonly deadlineMs?: number;
}

let lastParsed: { readonly source: string; readonly template: Template } | undefined;

function parse(source: string): Template {
  if (lastParsed?.source === source) return lastParsed.template;
  const bytes = Buffer.byteLength(source);
  atMost(MAX_TEMPLATE_BYTES, "bytes", bytes, "TEMPLATE_TOO_LARGE", "the chat template is too large");
  lastParsed = { source, template: new Template(FIXED_CLOCK + source) };
  return lastParsed.template;
}

/**
 * Renders a conversation with a Hugging Face chat template (Jinja).
 *
 * @throws {BoosterError} `TEMPLATE_TOO_LARGE`, `TEMPLATE_FAILED` (bad syntax, or the template refuses the messages),
 * `TEMPLATE_OUTPUT_TOO_LARGE`, `DEADLINE_EXCEEDED`
 * @example
 * renderChat(tokenizer.chatTemplate, [{ role: "user", content: "Hi" }], { addGenerationPrompt: true });
 */
export function renderChat(template: string, messages: readonly ChatMessage[], options: ChatOptions = {}): string {
  const render = () =>
    parse(template).render({
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? false,
      bos_token: options.bos ?? "",
      eos_token: options.eos ?? "",
      date_string: TEMPLATE_DATE,
    });
  let text: string;
  try {
    text = options.deadlineMs === undefined ? render() : withDeadline(options.deadlineMs, render);
  } catch (error) {
    if (error instanceof BoosterError) throw error;
    throw new BoosterError("TEMPLATE_FAILED", "the chat template cannot render these messages", {
      found: error instanceof Error ? error.message : String(error),
      where: `roles: ${messages.map((message) => message.role).join(", ")}`,
      cause: error,
    });
  }
  const problem = "the rendered conversation is too long";
  atMost(MAX_RENDERED_LENGTH, "characters", text.length, "TEMPLATE_OUTPUT_TOO_LARGE", problem);
  return text;
}

/**
 * Renders a conversation as segments: the template's own text is trusted, the messages' text is not.
 *
 * The template is rendered once with a placeholder in the place of each message's content; joined, the segments equal
 * `renderChat` of the real messages.
 *
 * @throws {BoosterError} `TEMPLATE_REWRITES_CONTENT` when the template does more to a content than to trim it, and
 * whatever `renderChat` throws
 */
export function renderSegments(
  template: string,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
): TextSegment[] {
  const whole = renderChat(template, messages, options);
  const held = messages.map((message, index) => ({ ...message, content: `\uE000${index}\uE001` }));
  const parts = renderChat(template, held, options).split(/\uE000(\d+)\uE001/u);
  for (const shape of [(content: string) => content, (content: string) => content.trim()]) {
    const segments = parts.map((part, place) =>
      place % 2 === 0
        ? { text: part, trusted: true }
        : { text: shape(messages[Number(part)]?.content ?? ""), trusted: false },
    );
    if (segments.map(({ text }) => text).join("") === whole) return segments;
  }
  throw new BoosterError("TEMPLATE_REWRITES_CONTENT", "the chat template changes what the messages say", {
    expected: "contents written as they are, or trimmed",
    hint: "A special token in such a text could not be told from the template's own. Use a template without this.",
  });
}
