import { z } from "zod";
import { randomBase62 } from "../../domain/ids.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { Ask, ServedFinish } from "../../engine/types.ts";
import { strict } from "../json.ts";
import { type Call, type Route, route } from "../route.ts";
import { eventStream, sseData } from "../sse.ts";
import {
  ConversationWithoutEffect,
  choosing,
  empty,
  Model,
  never,
  only,
  refuse,
  Sampling,
  unsupported,
} from "./fields.ts";
import { conversation, Messages } from "./messages.ts";
import { begin, now, type Served, type Serving, wholes } from "./served.ts";

/** Longest answer of a request that does not say how long it may be; the context's end may come first. */
const USUAL = 4096;

const UNSUPPORTED = {
  previous_response_id: never,
  conversation: never,
  tools: empty,
  tool_choice: only("none", "auto"),
  text: only({ format: { type: "text" } }, {}),
  reasoning: only({}),
  include: empty,
  prompt: never,
  background: only(false),
  max_tool_calls: never,
  top_logprobs: only(0),
  truncation: only("disabled"),
};

/** Messages of the input also come as items of that type. */
const Item = Messages.element.extend({
  type: z.literal("message").optional(),
  id: z.string().max(200).nullish(),
  status: z.string().max(50).nullish(),
});

const Body = strict({
  model: Model,
  input: z.union([z.string().max(2_000_000), z.array(Item).min(1).max(1024)]),
  instructions: z.string().max(2_000_000).nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  ...Sampling,
  stream: z.boolean().nullish(),
  stream_options: strict({ include_obfuscation: z.boolean().nullish() }).nullish(),
  ...ConversationWithoutEffect,
  ...unsupported(UNSUPPORTED),
});
type Body = z.output<typeof Body>;

const Part = z.strictObject({ type: z.literal("output_text"), text: z.string(), annotations: z.array(z.unknown()) });
const Output = z.strictObject({
  type: z.literal("message"),
  id: z.string(),
  role: z.literal("assistant"),
  status: z.enum(["in_progress", "completed", "incomplete"]),
  content: z.array(Part),
});
export const ResponseObject = z.strictObject({
  id: z.string(),
  object: z.literal("response"),
  created_at: z.int(),
  status: z.enum(["in_progress", "completed", "incomplete"]),
  model: z.string(),
  output: z.array(Output),
  error: z.null(),
  incomplete_details: z.strictObject({ reason: z.enum(["max_output_tokens", "content_filter"]) }).nullable(),
  instructions: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  parallel_tool_calls: z.boolean(),
  temperature: z.number(),
  top_p: z.number(),
  tool_choice: z.literal("auto"),
  tools: z.array(z.unknown()),
  usage: z
    .strictObject({
      input_tokens: z.int(),
      input_tokens_details: z.strictObject({ cache_write_tokens: z.int(), cached_tokens: z.int() }),
      output_tokens: z.int(),
      output_tokens_details: z.strictObject({ reasoning_tokens: z.int() }),
      total_tokens: z.int(),
    })
    .nullable(),
});
type ResponseObject = z.output<typeof ResponseObject>;

/** `POST /v1/responses`, as much of it as there is without tools and without memory. */
export const responseRoutes = (serving: Serving): Route[] => [
  route({
    method: "post",
    path: "/v1/responses",
    summary: "An answer to a text or a conversation",
    body: Body,
    bodyLimit: LIMITS.chatBytes,
    reply: ResponseObject,
    media: ["text/event-stream"],
    async handle(call) {
      const { body } = call;
      const { served, leave } = await begin(serving, call, askOf);
      const begun = begunAs(body);
      const message = `msg_${randomBase62(32)}`;
      if (body.stream === true) return stream(serving, call, served, begun, message, leave);
      const [whole] = await wholes(served, 1);
      if (whole === undefined) throw new ServiceError("internal_error", "the model could not answer");
      return endedAs(begun, message, whole.text, whole.finish, served);
    },
  }),
];

/** @throws {ServiceError} `unsupported_parameter` */
function askOf(body: Body, model: Ask["model"]): Ask {
  refuse(body, UNSUPPORTED);
  const { input, instructions } = body;
  const said =
    typeof input === "string"
      ? [{ role: "user", content: input }]
      : conversation(
          input.map(({ type: _, id: __, status: ___, ...message }) => message),
          "input",
        );
  const messages = typeof instructions === "string" ? [{ role: "system", content: instructions }, ...said] : said;
  return {
    model,
    ...choosing(body),
    prompts: [{ messages }],
    maxNewTokens: body.max_output_tokens ?? undefined,
    usualNewTokens: USUAL,
    echo: false,
  };
}

const begunAs = (body: Body): ResponseObject => ({
  id: `resp_${randomBase62(32)}`,
  object: "response",
  created_at: now(),
  status: "in_progress",
  model: body.model,
  output: [],
  error: null,
  incomplete_details: null,
  instructions: body.instructions ?? null,
  metadata: body.metadata ?? {},
  parallel_tool_calls: body.parallel_tool_calls ?? true,
  temperature: body.temperature ?? 1,
  top_p: body.top_p ?? 1,
  tool_choice: "auto",
  tools: [],
  usage: null,
});

const partOf = (text: string) => ({ type: "output_text" as const, text, annotations: [] });

function messageOf(id: string, text: string, finish: ServedFinish) {
  const status = finish === "stop" ? ("completed" as const) : ("incomplete" as const);
  return { type: "message" as const, id, role: "assistant" as const, status, content: [partOf(text)] };
}

function endedAs(
  begun: ResponseObject,
  id: string,
  text: string,
  finish: ServedFinish,
  served: Served,
): ResponseObject {
  const { prompt_tokens: input, completion_tokens: output, total_tokens: total } = served.usage();
  const message = messageOf(id, text, finish);
  return {
    ...begun,
    status: message.status,
    output: [message],
    incomplete_details:
      finish === "stop" ? null : { reason: finish === "length" ? "max_output_tokens" : "content_filter" },
    usage: {
      input_tokens: input,
      input_tokens_details: { cache_write_tokens: 0, cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: total,
    },
  };
}

function stream(
  { service }: Serving,
  { incoming }: Pick<Call<undefined, Body>, "incoming">,
  served: Served,
  begun: ResponseObject,
  id: string,
  leave: AbortController,
): Response {
  let sequence = 0;
  const event = (type: string, fields: object) =>
    `event: ${type}\n${sseData({ type, sequence_number: sequence++, ...fields })}`;
  const at = { output_index: 0, item_id: id, content_index: 0 };
  async function* produce(gone: AbortSignal) {
    gone.addEventListener("abort", () => leave.abort(), { once: true });
    yield event("response.created", { response: begun });
    yield event("response.in_progress", { response: begun });
    const item = { type: "message", id, role: "assistant", status: "in_progress", content: [] };
    yield event("response.output_item.added", { output_index: 0, item });
    yield event("response.content_part.added", { ...at, part: partOf("") });
    let text = "";
    let finish: ServedFinish | undefined;
    for await (const came of served.events) {
      if (came.kind === "finished") finish = came.finish;
      else {
        text += came.text;
        yield event("response.output_text.delta", { ...at, delta: came.text, logprobs: [] });
      }
    }
    if (finish === undefined) return;
    yield event("response.output_text.done", { ...at, text, logprobs: [] });
    yield event("response.content_part.done", { ...at, part: partOf(text) });
    yield event("response.output_item.done", { output_index: 0, item: messageOf(id, text, finish) });
    const response = endedAs(begun, id, text, finish, served);
    yield event(response.status === "completed" ? "response.completed" : "response.incomplete", { response });
  }
  const onError = (err: unknown): void => service.log.error({ err }, "an answer broke off");
  return eventStream(produce, { incoming, onError });
}
