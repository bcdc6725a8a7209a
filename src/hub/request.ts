import { setTimeout as wait } from "node:timers/promises";
import { BoosterError } from "../errors.ts";
import { type Asking, addressOf, Transient } from "./asking.ts";
import { explained } from "./refusal.ts";

const FIRST_DELAY_MS = 500;
/** Longest wait that the hub may ask for: its limits are counted over five minutes. */
const LONGEST_DELAY_MS = 300_000;
const MAX_REDIRECTS = 10;
/** Of answers that are read whole: a page of a repository's list. */
const MAX_ANSWER_BYTES = 32 * 2 ** 20;

/** An answer whose body ends in an error where the hub falls silent. */
export interface Answer {
  readonly response: Response;
  /** Its bytes as they come. Throws `Transient` where it breaks off. */
  readonly chunks: AsyncIterable<Uint8Array>;
}

/**
 * Tries again what failed for a while, each time a little later; `work` says by what it gives back or throws whether that helps. A try
 * that brought something (`progressed`) begins the count anew.
 *
 * @throws {BoosterError} `HUB_UNAVAILABLE` after `tries` in a row, and what `work` throws
 */
export async function withRetries<T>(asking: Asking, work: () => Promise<T>, progressed = () => false): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Transient)) throw error;
      if (progressed()) tried = 1;
      const delay = error.delayMs ?? FIRST_DELAY_MS * 2 ** (tried - 1);
      if (tried >= asking.tries || delay > LONGEST_DELAY_MS) {
        throw new BoosterError("HUB_UNAVAILABLE", "the hub cannot be reached, or asks to come back later", {
          expected: `an answer from ${asking.hub.endpoint} within ${asking.tries} tries`,
          found: error.found,
          where: asking.what,
          hint: "Try again later: what was downloaded stays, and is gone on with. Behind a mirror set HF_ENDPOINT.",
          cause: error,
        });
      }
      asking.tell(`${asking.what}: ${error.found}; trying again in ${Math.ceil(delay / 1000)} s`);
      await wait(delay, undefined, asking.signal === undefined ? {} : { signal: asking.signal });
    }
  }
}

/**
 * One request to the hub. Redirects are followed, and the token goes to the hub's own address alone.
 *
 * @throws {BoosterError} `HUB_ACCESS`, `HUB_NOT_FOUND`, `HUB_HTTP`, `HUB_ANSWER_INVALID`
 * @throws {Transient} for what another try may cure
 */
export async function request(asking: Asking, url: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { hub, signal } = asking;
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), hub.timeoutMs);
  const stop = signal === undefined ? silence.signal : AbortSignal.any([signal, silence.signal]);
  const broken = (cause: unknown): unknown => {
    clearTimeout(timer);
    if (signal?.aborted || cause instanceof BoosterError || cause instanceof Transient) return cause;
    if (silence.signal.aborted) return new Transient(`no answer for ${hub.timeoutMs / 1000} s`);
    return new Transient(cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause));
  };
  const home = new URL(hub.endpoint);
  let at = new URL(url);
  try {
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const isHome = at.origin === home.origin;
      const token = isHome ? hub.token : undefined;
      const response = await fetch(at, {
        redirect: "manual",
        signal: stop,
        headers: {
          "accept-encoding": "identity",
          "user-agent": "booster-align",
          ...headers,
          ...(token === undefined ? {} : { authorization: `Bearer ${token.secret}` }),
        },
      });
      const location = response.headers.get("location");
      if (response.status < 300 || response.status >= 400 || location === null) {
        if (!response.ok) throw await explained(asking, response, isHome);
        return { response, chunks: chunksOf(response, timer, broken) };
      }
      await response.body?.cancel();
      at = redirected(at, location, asking.what);
    }
    throw new BoosterError("HUB_ANSWER_INVALID", "the hub sends from one address to the next", {
      expected: `at most ${MAX_REDIRECTS} redirects`,
      where: asking.what,
    });
  } catch (cause) {
    throw broken(cause);
  }
}

function redirected(from: URL, location: string, where: string): URL {
  const to = addressOf(location, from.href);
  if (to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:")) return to;
  throw new BoosterError("HUB_ANSWER_INVALID", "the hub sends to an address that is not gone to", {
    expected: "an encrypted connection",
    found: to?.origin ?? "no address",
    where,
  });
}

async function* chunksOf(
  response: Response,
  timer: NodeJS.Timeout,
  broken: (cause: unknown) => unknown,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) {
      timer.refresh();
      yield chunk as Uint8Array;
    }
  } catch (cause) {
    throw broken(cause);
  } finally {
    clearTimeout(timer);
  }
}

/** An answer in JSON, with the address of the next page where it has several. Throws what `request` and `withRetries` throw. */
export function askJson(
  asking: Asking,
  url: string,
): Promise<{ readonly body: unknown; readonly next: string | undefined }> {
  return withRetries(asking, async () => {
    const { response, chunks } = await request(asking, url, { accept: "application/json" });
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > MAX_ANSWER_BYTES) throw unusable(asking, `more than ${MAX_ANSWER_BYTES} bytes`);
      parts.push(chunk);
    }
    const link = /<([^>]+)>\s*;\s*rel="?next"?/.exec(response.headers.get("link") ?? "")?.[1];
    return { body: parsed(asking, Buffer.concat(parts)), next: link };
  });
}

function parsed(asking: Asking, text: Buffer): unknown {
  try {
    return JSON.parse(text.toString("utf8"));
  } catch {
    throw unusable(asking, JSON.stringify(text.toString("utf8", 0, 100)));
  }
}

/** The error for an answer that is not what was asked for. */
export const unusable = ({ hub, what }: Asking, found: string): BoosterError =>
  new BoosterError("HUB_ANSWER_INVALID", "the hub's answer cannot be used", {
    found,
    where: what,
    hint: `Is ${hub.endpoint} the address of a hub? HF_ENDPOINT says which one is asked.`,
  });
