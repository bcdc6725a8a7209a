import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { ErrorCode } from "../../error-codes.ts";
import { BoosterError, type ErrorDetails } from "../../errors.ts";
import type { ChatMessage } from "../../formats/chat-template.ts";
import { postPublic } from "./public-post.ts";
import { withoutReasoning } from "./reply.ts";

/** An OpenAI-compatible server and the patience to have with it. */
export interface Endpoint {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string | undefined;
  /** It is asked at a public address or not at all, whatever its name means then. */
  readonly publicOnly?: boolean | undefined;
  /** Tokens of a reply; one that was cut, or came to nothing, is asked for again with twice as many, three times at most. */
  readonly maxTokens: number;
  /** For one request, connection and body together; milliseconds. */
  readonly timeoutMs: number;
  /** Further tries after the first. */
  readonly retries: number;
  /** Wait before the first retry, doubled each time, at most 60 s; the server's Retry-After wins. Milliseconds. */
  readonly firstDelayMs: number;
}

const LONGEST_DELAY_MS = 60_000;
const MOST_DOUBLINGS = 3;
/** Statuses after which no other question can have an answer: key, address or model are wrong. */
const HOPELESS = [401, 403, 404, 405, 410];

const Text = z.union([
  z.string(),
  z
    .array(z.looseObject({ text: z.string().optional() }))
    .transform((parts) => parts.map(({ text = "" }) => text).join("")),
]);
const Reply = z.object({
  choices: z
    .array(z.object({ message: z.object({ content: Text.nullish() }), finish_reason: z.string().nullish() }))
    .min(1),
});

/** What a model said, and whether there was more to come. */
interface Said {
  readonly text: string;
  readonly cut: boolean;
}

/** A failure that another try may cure, with the wait that the server asked for. */
class Retryable extends Error {
  readonly final: BoosterError;
  readonly delayMs: number | undefined;

  constructor(code: ErrorCode, problem: string, details: ErrorDetails, delayMs?: number) {
    super(problem);
    this.final = new BoosterError(code, problem, details);
    this.delayMs = delayMs;
  }
}

/** A failure of one question that says nothing of the others. */
export class Unanswered extends Error {
  readonly reason: BoosterError;

  constructor(reason: BoosterError) {
    super(reason.message);
    this.reason = reason;
  }
}

function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function saidIn(body: string, where: string): Said {
  try {
    const [choice] = Reply.parse(JSON.parse(body)).choices;
    const text = choice?.message.content ?? "";
    return { text, cut: choice?.finish_reason === "length" || !withoutReasoning(text)?.trim() };
  } catch (cause) {
    throw new Retryable("JUDGE_RESPONSE", "the judge's response is not a chat completion", {
      expected: "JSON with choices[0].message.content",
      found: `${body.length} characters of something else`,
      where,
      hint: 'The base URL should end before "/chat/completions"',
      cause,
    });
  }
}

/**
 * A model behind an OpenAI-compatible API, asked at temperature 0. Which of its parameters a server knows (`max_tokens` or
 * `max_completion_tokens`, a temperature or none) is learned from its first refusal.
 */
export class ChatModel {
  private limitName = "max_tokens";
  private temperature: { readonly temperature?: 0 } = { temperature: 0 };

  constructor(private readonly endpoint: Endpoint) {}

  /** Whether the server takes temperature 0, as far as it has been asked. */
  get greedy(): boolean {
    return this.temperature.temperature === 0;
  }

  /**
   * Asks until `read` can read the reply, with exponential backoff.
   *
   * @throws {Unanswered} when patience ends
   * @throws {BoosterError} `JUDGE_HTTP` where no question can be answered
   */
  async ask<T>(
    messages: readonly ChatMessage[],
    read: (reply: string) => T | undefined,
    where: string,
    stop: AbortSignal,
  ): Promise<T> {
    const { retries, firstDelayMs, maxTokens } = this.endpoint;
    let cuts = 0;
    for (let tried = 0; ; tried++) {
      try {
        const said = saidIn(
          await this.post(messages, maxTokens * 2 ** Math.min(cuts, MOST_DOUBLINGS), where, stop),
          where,
        );
        const value = read(said.text);
        if (value !== undefined) return value;
        if (said.cut) cuts++;
        // Hosted models are not deterministic even at temperature 0, so an unreadable reply is worth another try, at once.
        throw new Retryable("JUDGE_VERDICT", "the judge's reply is not a verdict", { ...unread(said), where }, 0);
      } catch (error) {
        if (!(error instanceof Retryable)) throw error;
        if (tried >= retries) throw new Unanswered(error.final);
        const delay = error.delayMs ?? firstDelayMs * 2 ** tried;
        await wait(Math.min(delay, LONGEST_DELAY_MS), undefined, { signal: stop });
      }
    }
  }

  private async post(
    messages: readonly ChatMessage[],
    limit: number,
    where: string,
    stop: AbortSignal,
  ): Promise<string> {
    const { baseUrl, model, apiKey, publicOnly, timeoutMs } = this.endpoint;
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const sent = { model, messages, ...this.temperature, [this.limitName]: limit };
      const address = `${baseUrl.replace(/\/+$/, "")}/chat/completions`;
      const request = {
        headers: {
          "content-type": "application/json",
          ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(sent),
        signal: AbortSignal.any([timeout, stop]),
      };
      // What one server was trusted with goes to no other.
      const response = publicOnly
        ? await postPublic(address, request)
        : await fetch(address, { method: "POST", redirect: "error", ...request });
      const body = await response.text();
      if (response.ok) return body;
      if ((response.status === 400 || response.status === 422) && this.learns(body, sent)) {
        return await this.post(messages, limit, where, stop);
      }
      throw refusal(response, body, where);
    } catch (cause) {
      if (cause instanceof BoosterError || cause instanceof Retryable || cause instanceof Unanswered) throw cause;
      if (stop.aborted) throw cause;
      if (timeout.aborted) {
        const expected = `an answer within ${timeoutMs} ms`;
        throw new Retryable("JUDGE_TIMEOUT", "the judge takes too long", { expected, where, cause });
      }
      const root = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
      const reason = root instanceof Error ? root.message : String(root);
      throw new Retryable("JUDGE_UNAVAILABLE", "the judge cannot be reached", { found: reason, where, cause });
    }
  }

  /** Whether a refusal speaks of a parameter that was sent and need not be; from then on it is not. */
  private learns(body: string, sent: Readonly<Record<string, unknown>>): boolean {
    if (sent.max_tokens !== undefined && /\bmax_tokens\b/.test(body) && /\bmax_completion_tokens\b/.test(body)) {
      this.limitName = "max_completion_tokens";
      return true;
    }
    if (sent.temperature !== undefined && /\btemperature\b/.test(body)) {
      this.temperature = {};
      return true;
    }
    return false;
  }
}

/** A reply that is no verdict, without its words, which may be harmful. */
const unread = ({ text, cut }: Said): ErrorDetails => ({
  expected: '"harmful" or "safe" in a line of its own, or Llama Guard\'s "safe" or "unsafe"',
  found: cut ? `${text.length} characters that end before a verdict` : `${text.length} characters of something else`,
  hint: "Use a model that follows the template, a template that fits the model, or a larger maxTokens.",
});

function refusal(response: Response, body: string, where: string): BoosterError | Retryable | Unanswered {
  const { status } = response;
  const details = { found: `status ${status}: ${body.slice(0, 200)}`, where };
  if (status === 408 || status === 429 || status >= 500) {
    const hint = "Lower the concurrency, or try again later";
    return new Retryable("JUDGE_UNAVAILABLE", "the judge does not answer", { ...details, hint }, retryAfter(response));
  }
  const hint =
    status === 401 || status === 403
      ? "Set BOOSTER_JUDGE_API_KEY to a key that this server accepts"
      : "Check the base URL and the model name";
  const error = new BoosterError("JUDGE_HTTP", "the judge refuses the request", { ...details, hint });
  return HOPELESS.includes(status) ? error : new Unanswered(error);
}
