import { parsedJson } from "./exact-json.ts";
import type { TemplateData } from "./jinja/data.ts";
import { Dict, text, type Value } from "./jinja/values.ts";
import { isObject } from "./strict-json.ts";

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: string;
  /** Empty where the turn has none, such as one that only calls tools. */
  readonly content: string;
  /** The texts that `content` is joined of by line breaks, where it was given as a list of parts: for templates that read lists. */
  readonly parts?: readonly TextPart[];
  /** What else is known of the turn, by the names that templates use: `tool_calls`, `reasoning_content`, `name`, ... */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** Whether an assistant's turn is trained, by default yes. */
  readonly trained?: boolean;
}

export interface TextPart {
  readonly type: "text";
  readonly text: string;
}

/** What a template is given of a message. */
export interface Form {
  /** A list, where the content was given as one. */
  readonly parts: boolean;
  /** Text, where the arguments of a call were given as JSON in a text. */
  readonly argumentTexts: boolean;
}

/** Names that a model's reasoning goes by; templates read one or the other. */
export const REASONING = ["reasoning_content", "thinking", "reasoning"];
/** What collections of chats note about a turn. */
const NOTES = [
  "language",
  "redacted",
  "toxic",
  "hashed_ip",
  "country",
  "state",
  "header",
  "timestamp",
  "turn_identifier",
];
/** Keys that link messages to each other or say who speaks, and those whose text is looked for: no template need read them. */
export const SILENT = new Set(["role", "content", "name", "tool_call_id", "id", ...REASONING, ...NOTES]);

/** The parts of a message that still says what they say. */
export const partsOf = ({ parts, content }: ChatMessage): ChatMessage["parts"] =>
  parts?.map((part) => part.text).join("\n") === content ? parts : undefined;

/** A message whose calls have other arguments in the place of texts; itself where none is a text. */
export function textCalls(message: ChatMessage, change: (argumentText: string) => unknown): ChatMessage {
  let changed = false;
  const inCall = (call: unknown): unknown => {
    if (!isObject(call)) return call;
    if (isObject(call.function)) return { ...call, function: inCall(call.function) };
    if (typeof call.arguments !== "string") return call;
    changed = true;
    return { ...call, arguments: change(call.arguments) };
  };
  const calls = message.fields?.tool_calls;
  const fields = Array.isArray(calls) ? { ...message.fields, tool_calls: calls.map(inCall) } : message.fields;
  return changed ? { ...message, fields: fields ?? {} } : message;
}

/** A message as a template sees it. As in transformers, what is null is not there, and reasoning has all of its names. */
export function messageValue(message: ChatMessage, form: Form, data: TemplateData): Dict {
  const { fields = {} } = form.argumentTexts ? message : textCalls(message, parsedJson);
  const content = form.parts ? (partsOf(message) ?? message.content) : message.content;
  const all = Object.entries({ content, ...fields }).filter(([, value]) => value !== null && value !== undefined);
  const entries = new Map<string, Value>([["role", text(message.role)]]);
  for (const [key, value] of all) entries.set(key, data.value(value));
  const reasoning = REASONING.map((name) => entries.get(name)).find((value) => value !== undefined);
  if (reasoning !== undefined) for (const name of REASONING.slice(0, 2)) entries.set(name, reasoning);
  return new Dict([...entries].map(([key, value]) => [text(key), value] as const));
}
