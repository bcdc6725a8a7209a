import { z } from "zod";
import { randomBase62 } from "../../domain/ids.ts";
import { LIMITS } from "../../domain/limits.ts";
import { ServiceError } from "../../domain/service-error.ts";
import type { Ask, ServedPrompt, ServedToken, TokenChance } from "../../engine/types.ts";
import { strict } from "../json.ts";
import { type Call, type Route, route } from "../route.ts";
import { eventStream, SSE_DONE, sseData } from "../sse.ts";
import {
  Choosing,
  choosing,
  MOST_ANSWERS,
  Model,
  refuse,
  unsupported,
  unsupportedParameter,
  WithoutEffect,
} from "./fields.ts";
import { begin, now, type Served, type Serving, wholes } from "./served.ts";
import { Usage } from "./wire.ts";

/** Tokens of an answer where nothing is said, as with OpenAI; the context's end may come first. */
const USUAL = 16;

const Text = z.string().max(2_000_000);
const Ids = z.array(z.int().nonnegative()).min(1).max(1_000_000);
const UNSUPPORTED = { suffix: (value: unknown) => value === "" };

const Body = strict({
  model: Model,
  prompt: z.union([Text, z.array(Text).min(1).max(MOST_ANSWERS), Ids, z.array(Ids).min(1).max(MOST_ANSWERS)]),
  ...Choosing,
  max_tokens: z.int().min(0).nullish(),
  best_of: z.int().nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  echo: z.boolean().nullish(),
  ...WithoutEffect,
  ...unsupported(UNSUPPORTED),
});
type Body = z.output<typeof Body>;

const Logprobs = z
  .strictObject({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number().nullable()),
    top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
    text_offset: z.array(z.int()),
  })
  .nullable();

export const Completion = z.strictObject({
  id: z.string(),
  object: z.literal("text_completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(
    z.strictObject({
      index: z.int(),
      text: z.string(),
      finish_reason: z.enum(["stop", "length", "content_filter"]),
      logprobs: Logprobs,
    }),
  ),
  usage: Usage,
  system_fingerprint: z.string(),
});

/** `POST /v1/completions` */
export const completionRoutes = (serving: Serving): Route[] => [
  route({
    method: "post",
    path: "/v1/completions",
    summary: "Go on with texts, or tell how likely they are",
    body: Body,
    bodyLimit: LIMITS.chatBytes,
    reply: Completion,
    media: ["text/event-stream"],
    async handle(call) {
      const { body } = call;
      const { ask, served, leave } = await begin(serving, call, askOf);
      const head = {
        id: `cmpl-${randomBase62(29)}`,
        object: "text_completion" as const,
        created: now(),
        model: body.model,
        system_fingerprint: served.base.fingerprint,
      };
      if (body.stream === true) return stream(serving, call, ask, served, head, leave);
      const choices = (await wholes(served, ask.prompts.length * ask.n)).map(({ text, tokens, finish }, index) => ({
        index,
        text,
        finish_reason: finish,
        logprobs: logprobsOf(ask, tokens),
      }));
      return { ...head, choices, usage: served.usage() };
    },
  }),
];

/** @throws {ServiceError} `unsupported_parameter`, `invalid_value` */
function askOf(body: Body, model: Ask["model"]): Ask {
  refuse(body, UNSUPPORTED);
  const chosen = choosing(body);
  const { best_of: best } = body;
  if (typeof best === "number" && best !== chosen.n) {
    throw unsupportedParameter("best_of", "All answers are given: best_of must be n, or left away");
  }
  const prompts = promptsOf(body.prompt);
  if (prompts.length * chosen.n > MOST_ANSWERS) {
    throw new ServiceError("invalid_value", "a request asks for too many answers", {
      param: "n",
      expected: `at most ${MOST_ANSWERS}`,
      found: String(prompts.length * chosen.n),
    });
  }
  return {
    model,
    ...chosen,
    prompts,
    maxNewTokens: body.max_tokens ?? undefined,
    usualNewTokens: USUAL,
    logprobs: body.logprobs ?? undefined,
    echo: body.echo === true,
  };
}

const isNumbers = (prompt: readonly unknown[]): prompt is number[] => typeof prompt[0] === "number";

function promptsOf(prompt: Body["prompt"]): ServedPrompt[] {
  if (typeof prompt === "string") return [{ text: prompt }];
  if (isNumbers(prompt)) return [{ ids: prompt }];
  return prompt.map((one) => (typeof one === "string" ? { text: one } : { ids: one }));
}

function logprobsOf(ask: Ask, tokens: readonly ServedToken[]): z.input<typeof Logprobs> {
  if (ask.logprobs === undefined) return null;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(topOf),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

/** By text, the chosen one among them. Two tokens of one text are one entry: the likelier one's. */
function topOf({ text, logprob, top }: ServedToken): Record<string, number> | null {
  if (logprob === null) return null;
  const found: Record<string, number> = Object.create(null);
  const all: readonly Pick<TokenChance<number>, "text" | "logprob">[] = [...top, { text, logprob }];
  for (const one of all) found[one.text] = Math.max(one.logprob, found[one.text] ?? Number.NEGATIVE_INFINITY);
  return { ...found };
}

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
    sseData({ ...head, choices, ...(withUsage ? { usage } : {}) });
  async function* produce(gone: AbortSignal) {
    gone.addEventListener("abort", () => leave.abort(), { once: true });
    for await (const event of served.events) {
      const { index } = event;
      const [text, tokens] = event.kind === "text" ? [event.text, event.tokens] : ["", []];
      const logprobs = tokens.length === 0 ? null : logprobsOf(ask, tokens);
      yield chunk([{ index, text, logprobs, finish_reason: event.kind === "finished" ? event.finish : null }]);
    }
    if (withUsage) yield chunk([], served.usage());
    yield SSE_DONE;
  }
  const onError = (err: unknown): void => service.log.error({ err }, "an answer broke off");
  return eventStream(produce, { incoming, onError });
}
