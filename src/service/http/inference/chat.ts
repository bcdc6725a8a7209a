import { z } from "zod";
import { randomBase62 } from "../../domain/ids.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { Ask, ServedToken } from "../../engine/types.ts";
import { strict } from "../json.ts";
import { type Call, type Route, route } from "../route.ts";
import { eventStream, SSE_DONE, sseData } from "../sse.ts";
import {
  Choosing,
  ConversationWithoutEffect,
  choosing,
  empty,
  Model,
  never,
  only,
  refuse,
  unsupported,
  unsupportedParameter,
} from "./fields.ts";
import { conversation, Messages } from "./messages.ts";
import { HELD_BACK, Moderated, Moderating, Moderation } from "./moderated.ts";
import { begin, modelNamed, now, type Served, type Serving, type Whole, wholes } from "./served.ts";
import { Usage } from "./wire.ts";

/** Longest answer of a request that does not say how long it may be; the context's end may come first. */
const USUAL = 4096;

const UNSUPPORTED = {
  tools: empty,
  tool_choice: only("none", "auto"),
  functions: empty,
  function_call: only("none", "auto"),
  response_format: only({ type: "text" }),
  modalities: only(["text"]),
  audio: never,
  prediction: never,
  web_search_options: never,
  reasoning_effort: only("none"),
  verbosity: never,
};

const Body = strict({
  model: Model,
  messages: Messages,
  ...Choosing,
  max_completion_tokens: z.int().min(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  moderation: Moderation,
  ...ConversationWithoutEffect,
  ...unsupported(UNSUPPORTED),
});
type Body = z.output<typeof Body>;

const Chance = z.strictObject({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });
const Logprobs = z
  .strictObject({
    content: z.array(Chance.extend({ top_logprobs: z.array(Chance) })),
    refusal: z.null(),
  })
  .nullable();

export const ChatCompletion = z.strictObject({
  id: z.string(),
  object: z.literal("chat.completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.strictObject({
      index: z.int(),
      message: z.strictObject({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
      finish_reason: z.enum(["stop", "length", "content_filter"]),
      logprobs: Logprobs,
    }),
  ),
  usage: Usage,
  system_fingerprint: z.string(),
  moderation: Moderated.optional(),
});

/** `POST /v1/chat/completions` */
export const chatRoutes = (serving: Serving): Route[] => [
  route({
    method: "post",
    path: "/v1/chat/completions",
    summary: "The next turn of a conversation",
    body: Body,
    bodyLimit: LIMITS.chatBytes,
    reply: ChatCompletion,
    media: ["text/event-stream"],
    async handle(call) {
      const { body } = call;
      if (body.moderation != null) return moderated(serving, call, body.moderation);
      const { ask, served, leave } = await begin(serving, call, askOf);
      const head = headOf(body, served.base.fingerprint);
      if (body.stream === true) return stream(serving, call, ask, served, head, leave);
      return completion(head, ask, await wholes(served, ask.n), served.usage());
    },
  }),
];

const headOf = ({ model }: Body, fingerprint: string) => ({
  id: `chatcmpl-${randomBase62(29)}`,
  created: now(),
  model,
  system_fingerprint: fingerprint,
});

function completion(
  head: ReturnType<typeof headOf>,
  ask: Ask,
  answers: readonly Whole[],
  usage: z.input<typeof Usage>,
): z.input<typeof ChatCompletion> {
  const choices = answers.map(({ text, tokens, finish }, index) => ({
    index,
    message: { role: "assistant" as const, content: text, refusal: null },
    finish_reason: finish,
    logprobs: logprobsOf(ask, tokens),
  }));
  return { ...head, object: "chat.completion", choices, usage };
}

/** An answer that is judged before anybody has it: it comes whole. */
async function moderated(
  serving: Serving,
  call: Call<undefined, Body>,
  asked: NonNullable<Body["moderation"]>,
): Promise<z.input<typeof ChatCompletion>> {
  const { body, principal } = call;
  if (body.stream === true) throw unsupportedParameter("stream", "An answer that is moderated comes whole");
  const model = await modelNamed(serving, principal, body.model);
  const ask = askOf(body, model);
  const moderating = new Moderating(serving, call, asked, conversation(body.messages));
  const input = await moderating.input();
  if (input.blocked) {
    const { fingerprint } = await serving.engine.base(model.base);
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
    const nothing = { type: "moderation_results" as const, model: input.told.model, results: [] };
    const held = completion(headOf(body, fingerprint), ask, Array<Whole>(ask.n).fill(HELD_BACK), usage);
    return { ...held, moderation: { input: input.told, output: nothing } };
  }
  const { served } = await begin(serving, call, askOf);
  const output = await moderating.output(await wholes(served, ask.n));
  const told = completion(headOf(body, served.base.fingerprint), ask, output.answers, served.usage());
  return { ...told, moderation: { input: input.told, output: output.told } };
}

/** @throws {ServiceError} `unsupported_parameter`, `invalid_value` */
function askOf(body: Body, model: Ask["model"]): Ask {
  refuse(body, UNSUPPORTED);
  const { max_completion_tokens: newer, max_tokens: older, logprobs, top_logprobs: top } = body;
  if (typeof newer === "number" && typeof older === "number" && newer !== older) {
    throw new ServiceError("invalid_value", "max_tokens and max_completion_tokens say different things", {
      param: "max_tokens",
    });
  }
  if (typeof top === "number" && logprobs !== true) {
    throw new ServiceError("invalid_value", "top_logprobs needs logprobs", { param: "top_logprobs" });
  }
  return {
    model,
    ...choosing(body),
    prompts: [{ messages: conversation(body.messages) }],
    maxNewTokens: newer ?? older ?? undefined,
    usualNewTokens: USUAL,
    logprobs: logprobs === true ? (top ?? 0) : undefined,
    echo: false,
  };
}

function logprobsOf(ask: Ask, tokens: readonly ServedToken[]): z.input<typeof Logprobs> {
  if (ask.logprobs === undefined) return null;
  const content = tokens
    .filter(({ ends }) => ends !== true)
    .map(({ top, ...token }) => ({ ...chance(token), top_logprobs: top.map(chance) }));
  return { content, refusal: null };
}

const chance = ({ text, bytes, logprob }: { text: string; bytes: readonly number[]; logprob: number | null }) => ({
  token: text,
  logprob: logprob ?? 0,
  bytes: [...bytes],
});

function stream(
  { service }: Serving,
  { body, incoming }: Call<undefined, Body>,
  ask: Ask,
  served: Served,
  head: object,
  leave: AbortController,
): Response {
  const withUsage = body.stream_options?.include_usage === true;
  const chunk = (choices: readonly object[], usage: object | null = null) =>
    sseData({ ...head, object: "chat.completion.chunk", choices, ...(withUsage ? { usage } : {}) });
  const choice = (index: number, delta: object, tokens: readonly ServedToken[], finish: string | null) =>
    chunk([{ index, delta, logprobs: tokens.length === 0 ? null : logprobsOf(ask, tokens), finish_reason: finish }]);
  async function* produce(gone: AbortSignal) {
    gone.addEventListener("abort", () => leave.abort(), { once: true });
    for (let index = 0; index < ask.n; index++) {
      yield choice(index, { role: "assistant", content: "", refusal: null }, [], null);
    }
    for await (const event of served.events) {
      const { index } = event;
      if (event.kind === "text") yield choice(index, { content: event.text }, event.tokens, null);
      else yield choice(index, {}, [], event.finish);
    }
    if (withUsage) yield chunk([], served.usage());
    yield SSE_DONE;
  }
  const onError = (err: unknown): void => service.log.error({ err }, "an answer broke off");
  return eventStream(produce, { incoming, onError });
}
