import { z } from "zod";
import { BoosterError } from "../errors.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import { isObject } from "../formats/strict-json.ts";
import type { ChatExample } from "./examples.ts";
import { cellOf, placeOf, type Row } from "./rows.ts";

/** Turns of one conversation. */
export const MAX_MESSAGES = 1024;

const TextPart = z.looseObject({ type: z.literal("text"), text: z.string() }).transform(({ text }) => text);
const Content = z.union([
  z.string(),
  // One text under another, as other runtimes join them for templates that know texts only.
  z.array(z.union([z.string(), TextPart])).transform((parts) => parts.join("\n")),
  z.null(),
]);
const Flag = z.boolean().nullish();

/** What a message says of its training, by the names that this goes by: OpenAI's and Mistral's, Axolotl's, ms-swift's. */
const TRAINED = ["weight", "train", "training", "loss"] as const;

const Message = z
  .looseObject({
    role: z.enum(["system", "developer", "user", "assistant", "tool"]),
    content: Content.optional(),
    weight: z.literal([0, 1]).nullish(),
    train: Flag,
    training: Flag,
    loss: Flag,
  })
  .transform((message, context): ChatMessage => {
    const { role, content, weight, train, training, loss, ...others } = message;
    const flags = [weight, train, training, loss].filter((flag) => flag != null).map(Boolean);
    if (flags.includes(true) && flags.includes(false)) context.addIssue(`${TRAINED.join(", ")} contradict each other`);
    if (flags.includes(true) && role !== "assistant") context.addIssue("only an assistant's message is trained");
    const fields = Object.entries(others).filter(([, value]) => !isNothing(value));
    if (content == null && fields.length === 0) context.addIssue("has no content");
    if (content == null) fields.push(["content", null]);
    return {
      role,
      content: content ?? "",
      ...(fields.length === 0 ? {} : { fields: plainJson(Object.fromEntries(fields.map(withParsedArguments))) }),
      ...(flags.includes(false) && role === "assistant" ? { trained: false } : {}),
    };
  });

const Messages = z.array(Message).min(1).max(MAX_MESSAGES);

/** JSON of what other formats hold: large whole numbers of parquet. */
const plainJson = <T>(value: T): T =>
  JSON.parse(JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? Number(inner) : inner)));

function parsedJson(value: unknown): unknown {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Files with one shape for all rows write these where a row has nothing to say. */
const isNothing = (value: unknown) => value == null || (Array.isArray(value) && value.length === 0);

/** OpenAI's format writes the arguments of a tool call as text; templates write objects. */
function withParsedArguments([key, value]: [string, unknown]): [string, unknown] {
  if (key !== "tool_calls" || !Array.isArray(value)) return [key, value];
  const parsed = (call: unknown) =>
    isObject(call) && "arguments" in call ? { ...call, arguments: parsedJson(call.arguments) } : call;
  return [
    key,
    value.map((call: unknown) =>
      isObject(call) && isObject(call.function) ? { ...call, function: parsed(call.function) } : parsed(call),
    ),
  ];
}

/** Columns beside the messages that a template reads. */
const VARIABLES = ["tools", "documents"];
/** Columns that change what is trained, and that are not understood here. */
const REFUSED = ["functions", "system", "weight", "chat_template", "train", "training", "loss"];

/** The conversation in a row's column `messages`. @throws {BoosterError} `MESSAGES_INVALID` */
export function conversation(row: Row): ChatExample {
  const refused = REFUSED.find((column) => cellOf(row, column) != null);
  if (refused !== undefined) {
    throw new BoosterError(
      "MESSAGES_INVALID",
      `has a column "${refused}" beside its messages, which is not understood`,
      {
        hint: "Write it into the messages, or remove it.",
      },
    );
  }
  const messages = Messages.safeParse(cellOf(row, "messages"));
  if (!messages.success) {
    const [issue] = messages.error.issues;
    throw new BoosterError("MESSAGES_INVALID", 'has no conversation in "messages"', {
      found: `${issue?.path.join(".") || "messages"}: ${issue?.message}`,
    });
  }
  const named = VARIABLES.map((column) => [column, parsedJson(cellOf(row, column))] as const);
  const more = parsedJson(cellOf(row, "chat_template_kwargs"));
  const variables = [...named, ...(isObject(more) ? Object.entries(more) : [])].filter(
    ([, value]) => !isNothing(value),
  );
  return {
    kind: "chat",
    where: placeOf(row),
    messages: messages.data,
    ...(variables.length === 0 ? {} : { variables: plainJson(Object.fromEntries(variables)) }),
  };
}
