import { z } from "zod";
import { BoosterError } from "../errors.ts";
import { type ChatMessage, KEYS, type TextPart as MessagePart } from "../formats/chat-message.ts";
import { entriesOf, Float, objectOf, parsedJson } from "../formats/exact-json.ts";
import { isObject } from "../formats/strict-json.ts";
import { renderedError, renderedPrompt } from "./rendered.ts";
import { MAX_MESSAGES } from "./rows.ts";

/** Keys of a text part that say nothing of what is trained. */
const PART_KEYS = ["type", "text", "cache_control", "annotations"];
const TextPart = z.looseObject({ type: z.literal("text"), text: z.string() }).superRefine((part, context) => {
  const unread = Object.keys(part).filter((key) => !PART_KEYS.includes(key) && !isNothing(part[key]));
  for (const key of unread) context.addIssue({ code: "custom", path: [key], message: "is not read in a text part" });
});
const Content = z.union([z.string(), z.array(z.union([z.string(), TextPart])), z.null()], {
  error: "expected a text, text parts ({type: text, text}) or null; images and sound are not read",
});
const Flag = z.boolean().nullish();

/** What a message says of its training, by the names that this goes by: OpenAI's and Mistral's, Axolotl's, ms-swift's. */
const TRAINED = ["weight", "train", "training", "loss"] as const;

const Message = z
  .looseObject({
    role: z.enum(["system", "developer", "user", "assistant", "tool"]),
    content: Content.optional(),
    weight: z.preprocess((weight) => (weight instanceof Float ? Number(weight) : weight), z.literal([0, 1]).nullish()),
    train: Flag,
    training: Flag,
    loss: Flag,
  })
  .transform((message, context): ChatMessage => {
    const { role, content: given, weight, train, training, loss, ...others } = message;
    const texts = Array.isArray(given) ? given.map((part) => (typeof part === "string" ? part : part.text)) : undefined;
    // One text under another, as other runtimes join them for templates that know texts only.
    const content = texts?.join("\n") ?? (given as string | null | undefined);
    const parts = Array.isArray(given) ? given.filter((part) => typeof part !== "string") : [];
    const flags = [weight, train, training, loss].filter((flag) => flag != null).map(Boolean);
    if (flags.includes(true) && flags.includes(false)) context.addIssue(`${TRAINED.join(", ")} contradict each other`);
    if (flags.includes(true) && role !== "assistant") context.addIssue("only an assistant's message is trained");
    const fields = Object.entries(others).filter(([, value]) => !isNothing(value));
    if (content == null && fields.length === 0) context.addIssue("has no content");
    if (content == null) fields.push(["content", null]);
    return {
      role,
      content: content ?? "",
      ...(parts.length > 0 && parts.length === texts?.length ? { parts: parts.map(said) } : {}),
      ...(fields.length === 0 ? {} : { fields: plainObject(Object.fromEntries(fields)) }),
      ...(flags.includes(false) && role === "assistant" ? { trained: false } : {}),
    };
  });

const Messages = z.array(Message).min(1).max(MAX_MESSAGES);

/** JSON of what rows hold: dates of parquet are texts. @throws {BoosterError} `MESSAGES_INVALID` for a number without end */
export function plainJson(value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new BoosterError(
      "MESSAGES_INVALID",
      "has a number that is too large or none, in what a template would write",
      {
        found: String(value),
      },
    );
  }
  if (Array.isArray(value)) return value.map(plainJson);
  if (!isObject(value) || value instanceof Float) return value;
  return value instanceof Date ? value.toJSON() : plainObject(value);
}

/** @throws {BoosterError} as `plainJson` */
export const plainObject = (object: object): Record<string, unknown> =>
  objectOf(entriesOf(object).map(([key, inner]) => [key, plainJson(inner)]));

/** A part without what files with one shape for all parts write. */
const said = (part: z.output<typeof TextPart>): MessagePart => ({
  ...plainObject(Object.fromEntries(Object.entries(part).filter(([, value]) => !isNothing(value)))),
  type: "text",
  text: part.text,
});

/** Files with one shape for all rows write these where a row has nothing to say. */
export const isNothing = (value: unknown): boolean =>
  value == null || value === "" || (Array.isArray(value) && value.length === 0);

/** Who speaks, as conversations collected from chat pages and LLaMA-Factory's call them. */
const SPEAKERS: ReadonlyMap<unknown, string> = new Map([
  ["human", "user"],
  ["gpt", "assistant"],
  ["chatgpt", "assistant"],
  ["bard", "assistant"],
  ["bing", "assistant"],
  ["bot", "assistant"],
  ["model", "assistant"],
  ["observation", "tool"],
  ["ipython", "tool"],
  ["function_response", "tool"],
  ["tool_response", "tool"],
  ["function_call", "assistant"],
  ["tool_call", "assistant"],
]);

/** A turn as a message, whichever of ShareGPT's keys and names it has. One that has a key of each is left as it is, to be refused. */
function fromShareGpt(turn: unknown): unknown {
  if (!isObject(turn) || ("from" in turn && "role" in turn) || ("value" in turn && "content" in turn)) return turn;
  const { from, role: named = from, value, content = value } = turn;
  const speaker = typeof named === "string" ? named.toLowerCase() : named;
  const message = entriesOf(turn).map(([key, inner]): [string, unknown] =>
    key === "from" || key === "role"
      ? ["role", SPEAKERS.get(speaker) ?? speaker]
      : [key === "value" ? "content" : key, inner],
  );
  if (speaker !== "function_call" && speaker !== "tool_call") return objectOf(message);
  const others = message.filter(([key]) => key !== "content");
  const calls = [parsedJson(content)].flat();
  // What is no call is left to be refused as no content.
  if (!calls.every((call) => isObject(call) && typeof call.name === "string")) return objectOf(others);
  return objectOf([
    ...others,
    ["content", null],
    ["tool_calls", calls.map((call) => ({ type: "function", function: call }))],
  ]);
}

/** One turn as a list of it; a list of each of their keys, as datasets keeps sequences of objects, as a list of turns. */
function listed(turns: unknown): unknown {
  if (!isObject(turns)) return turns;
  const lists = Object.entries(turns);
  const length = Math.max(...lists.map(([, list]) => (Array.isArray(list) ? list.length : 0)));
  const areLists = lists.length > 0 && lists.every(([, list]) => Array.isArray(list) && list.length === length);
  if (!areLists || length > MAX_MESSAGES) return [turns];
  return Array.from({ length }, (_, at) =>
    Object.fromEntries(lists.map(([key, list]) => [key, (list as readonly unknown[])[at]])),
  );
}

/**
 * The turns in a column: messages (`role`, `content`) or ShareGPT's (`from`, `value`); one alone or a list, or either as JSON.
 *
 * @throws {BoosterError} `MESSAGES_INVALID`, `MESSAGE_ROLE_UNKNOWN`, `PROMPT_RENDERED` where a turn is a whole prompt that was rendered beforehand
 */
export function turnsOf(value: unknown, column: string): ChatMessage[] {
  const given = listed(parsedJson(value));
  const turns = Array.isArray(given) ? given.map(fromShareGpt) : given;
  const messages = Messages.safeParse(turns);
  if (!messages.success) {
    const [issue] = messages.error.issues;
    const place = issue?.path.map((step) => (step === "role" ? "role (or from)" : String(step))).join(".");
    const code = hasRole(turns, issue?.path ?? []) ? "MESSAGE_ROLE_UNKNOWN" : "MESSAGES_INVALID";
    throw new BoosterError(code, `has no conversation in "${column}"`, {
      found: `${place || column}: ${issue?.message}`,
    });
  }
  for (const { role, content } of messages.data) {
    const rendered = role === "user" ? renderedPrompt(content) : undefined;
    if (rendered !== undefined) throw renderedError(rendered, "a message cannot hold");
  }
  return messages.data.map((message, at) => inOrder(message, (turns as readonly object[])[at]));
}

/** Whether a fault lies in a role that is there. */
const hasRole = (turns: unknown, [at, key]: readonly PropertyKey[]): boolean => {
  const turn: unknown = Array.isArray(turns) && typeof at === "number" ? turns[at] : undefined;
  return key === "role" && isObject(turn) && !isNothing(turn.role);
};

/** A message that knows in which order its row has its keys. */
function inOrder(message: ChatMessage, turn: object = {}): ChatMessage {
  const own = entriesOf(turn).map(([key]) => key);
  const usual = ["role", "content", ...Object.keys(message.fields ?? {})].filter((key) => own.includes(key));
  const keys = own.filter((key) => usual.includes(key));
  return keys.every((key, at) => key === usual[at]) ? message : { ...message, [KEYS]: keys };
}

/** Turns that an answer follows: nothing of them is trained. */
export const asContext = (turns: readonly ChatMessage[]): ChatMessage[] =>
  turns.map((turn) => (turn.role === "assistant" ? { ...turn, trained: false } : turn));
