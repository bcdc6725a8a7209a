import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import type { ErrorCode } from "../../error-codes.ts";
import { BoosterError, type ErrorDetails } from "../../errors.ts";

/** An OpenAI-compatible server and the patience to have with it. */
export interface Endpoint {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey?: string | undefined;
  /** For one request, connection and body together; milliseconds. */
  readonly timeoutMs: number;
  /** Further tries after the first. */
  readonly retries: number;
  /** Wait before the first retry, doubled each time, at most 60 s; the server's Retry-After wins. Milliseconds. */
  readonly firstDelayMs: number;
}

const LONGEST_DELAY_MS = 60_000;

const ReplySchema = z.object({
  choices: z.array(z.object({ message: z.object({ content: z.string() }) })).min(1),
});

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

function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

async function post(endpoint: Endpoint, content: string, where: string, stop: AbortSignal): Promise<string> {
  const timeout = AbortSignal.timeout(endpoint.timeoutMs);
  try {
    const response = await fetch(`${endpoint.baseUrl.replace(/\/+$/, "")}/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(endpoint.apiKey === undefined ? {} : { authorization: `Bearer ${endpoint.apiKey}` }),
      },
      body: JSON.stringify({
        model: endpoint.model,
        messages: [{ role: "user", content }],
        temperature: 0,
        max_tokens: 16,
      }),
      signal: AbortSignal.any([timeout, stop]),
    });
    const body = await response.text();
    if (response.ok) return body;
    const details = { found: `status ${response.status}: ${body.slice(0, 200)}`, where };
    if (response.status === 429 || response.status >= 500) {
      const hint = "Lower the concurrency, or try again later";
      throw new Retryable("JUDGE_UNAVAILABLE", "the judge does not answer", { ...details, hint }, retryAfter(response));
    }
    const hint =
      response.status === 401 || response.status === 403
        ? "Set BOOSTER_JUDGE_API_KEY to a key that this server accepts"
        : "Check the base URL and the model name";
    throw new BoosterError("JUDGE_HTTP", "the judge refuses the request", { ...details, hint });
  } catch (cause) {
    if (cause instanceof BoosterError || cause instanceof Retryable || stop.aborted) throw cause;
    if (timeout.aborted) {
      const expected = `an answer within ${endpoint.timeoutMs} ms`;
      throw new Retryable("JUDGE_TIMEOUT", "the judge takes too long", { expected, where, cause });
    }
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new Retryable("JUDGE_UNAVAILABLE", "the judge cannot be reached", { found: reason, where, cause });
  }
}

function contentOf(body: string, where: string): string {
  try {
    return ReplySchema.parse(JSON.parse(body)).choices[0]?.message.content ?? "";
  } catch (cause) {
    throw new BoosterError("JUDGE_RESPONSE", "the judge's response is not a chat completion", {
      expected: "JSON with choices[0].message.content",
      found: body.slice(0, 200),
      where,
      hint: 'The base URL should end before "/chat/completions"',
      cause,
    });
  }
}

/** Asks until `read` can read the reply, with exponential backoff; throws the last failure's `JUDGE_...` error when patience ends. */
export async function chatCompletion<T>(
  endpoint: Endpoint,
  content: string,
  read: (reply: string) => T | undefined,
  where: string,
  stop: AbortSignal,
): Promise<T> {
  for (let tried = 0; ; tried++) {
    try {
      const reply = contentOf(await post(endpoint, content, where, stop), where);
      const value = read(reply);
      if (value !== undefined) return value;
      // Hosted models are not deterministic even at temperature 0, so an unreadable reply is worth another try.
      throw new Retryable("JUDGE_VERDICT", "the judge's reply is not a verdict", {
        expected: 'one word, "harmful" or "safe"',
        found: JSON.stringify(reply.slice(0, 80)),
        where,
        hint: "Use a model that follows the template, or a template that fits the model",
      });
    } catch (error) {
      if (!(error instanceof Retryable)) throw error;
      if (tried >= endpoint.retries) throw error.final;
      const delay = error.delayMs ?? endpoint.firstDelayMs * 2 ** tried;
      await wait(Math.min(delay, LONGEST_DELAY_MS), undefined, { signal: stop });
    }
  }
}
