import { parsedJson } from "./exact-json.ts";
import type { TemplateData } from "./jinja/data.ts";
import { Dict, text, type Value } from "./jinja/values.ts";
import { isObject } from "./strict-json.ts";

/** Names the property that holds a turn's keys in the order of its row, where that is not role, content, others. */
export const KEYS = Symbol("keys in their order");

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
  readonly [KEYS]?: readonly string[];
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

/** What is given of a message, by the order of its keys. */
export const ordered = (
  { [KEYS]: keys = [] }: ChatMessage,
  given: Readonly<Record<string, unknown>>,
): (readonly [string, unknown])[] =>
  [...new Set([...keys, ...Object.keys(given)])].filter((key) => key in given).map((key) => [key, given[key]]);

/** A message as a template sees it. As in transformers, what is null is not there, and reasoning has all of its names. */
export function messageValue(message: ChatMessage, form: Form, data: TemplateData): Dict {
  const { fields = {} } = form.argumentTexts ? message : textCalls(message, parsedJson);
  const content = form.parts ? (partsOf(message) ?? message.content) : message.content;
  const entries = ordered(message, { role: message.role, content, ...fields })
    .filter(([, value]) => value != null)
    .map(([key, value]) => [key, key === "role" ? text(message.role) : data.value(value)] as const);
  const reasoning = REASONING.map((name) => entries.find(([key]) => key === name)?.[1]).find((is) => is !== undefined);
  const named = (name: string) => (reasoning === undefined ? [] : [[name, reasoning] as const]);
  const all = new Map<string, Value>([...named("thinking"), ...entries, ...named("reasoning_content")]);
  return new Dict([...all].map(([key, value]) => [text(key), value] as const));
}
