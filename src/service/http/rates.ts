import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";

/** What is left of a limit, for headers. */
export interface Budget {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds until all of it is there again. */
  readonly reset: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

/** Keys beyond which the longest unused ones are forgotten: what they had used is full again by then, or nearly. */
const KEYS_KEPT = 10_000;

/**
 * Tokens that a key spends and time gives back: `perMinute` at once, then as many a minute. In this process's memory; `share` is the part of
 * the limits that falls to this one of several servers.
 */
export class Rate {
  private readonly buckets = new Map<string, Bucket>();

  constructor(
    private readonly perMinute: number,
    private readonly now: () => number = () => performance.now(),
    public share = 1,
  ) {}

  private bucketOf(key: string): Bucket {
    const limit = this.limit;
    const now = this.now();
    const found = this.buckets.get(key) ?? { tokens: limit, at: now };
    found.tokens = Math.min(limit, found.tokens + ((now - found.at) / 60_000) * limit);
    found.at = now;
    // The newest stand last.
    this.buckets.delete(key);
    this.buckets.set(key, found);
    if (this.buckets.size > KEYS_KEPT) this.buckets.delete(this.buckets.keys().next().value as string);
    return found;
  }

  private get limit(): number {
    return Math.max(1, Math.floor(this.perMinute * this.share));
  }

  budget(key: string): Budget {
    const { tokens } = this.bucketOf(key);
    const limit = this.limit;
    return { limit, remaining: Math.max(0, Math.floor(tokens)), reset: ((limit - tokens) / limit) * 60 };
  }

  /** Takes `amount`; where it is not there, nothing, and says in how many seconds it will be. More than the whole limit is taken as the whole. */
  take(key: string, amount = 1): number | undefined {
    const bucket = this.bucketOf(key);
    const asked = Math.min(amount, this.limit);
    if (bucket.tokens < asked) return ((asked - bucket.tokens) / this.limit) * 60;
    bucket.tokens -= asked;
    return undefined;
  }

  /** Corrects what was taken by guess: what was used in truth may leave a debt. */
  settle(key: string, amount: number): void {
    this.bucketOf(key).tokens -= amount;
  }
}

export type RateKind = "reads" | "writes" | "inferences";

/** The limits of one server. */
export class Rates {
  readonly kinds: Readonly<Record<RateKind, Rate>>;
  readonly tokens: Rate;
  readonly failedLogins: Rate;

  constructor(now?: () => number) {
    this.kinds = {
      reads: new Rate(LIMITS.readsPerMinute, now),
      writes: new Rate(LIMITS.writesPerMinute, now),
      inferences: new Rate(LIMITS.inferencesPerMinute, now),
    };
    this.tokens = new Rate(LIMITS.tokensPerMinute, now);
    this.failedLogins = new Rate(LIMITS.failedLoginsPerMinute, now);
  }

  /** Of several servers each counts for itself, and gives its part of what a key may do. */
  divide(servers: number): void {
    for (const rate of [...Object.values(this.kinds), this.tokens, this.failedLogins]) rate.share = 1 / servers;
  }

  /** @throws {ServiceError} `rate_limit_exceeded` with the time after which to come again, at most a minute */
  request(kind: RateKind, key: string): void {
    const wait = this.kinds[kind].take(key);
    if (wait === undefined) return;
    throw new ServiceError("rate_limit_exceeded", `this key has made too many requests (${kind})`, {
      expected: `at most ${this.kinds[kind].budget(key).limit} a minute`,
      retryAfter: Math.min(60, wait),
    });
  }

  /**
   * Takes tokens of a key's minute before anything is computed for them: reading a long text takes time as well, whatever comes of it.
   *
   * @throws {ServiceError} `token_limit_exceeded`
   */
  pay(key: string, tokens: number): void {
    const wait = this.tokens.take(key, tokens);
    if (wait === undefined) return;
    throw new ServiceError("token_limit_exceeded", "this key has used up its tokens of this minute", {
      retryAfter: Math.min(60, wait),
    });
  }
}

/** Characters that a token has at least, in most texts: by them a text is paid for before it is read. */
const CHARACTERS_PER_TOKEN = 8;

/** How many tokens so many characters are at least, or nearly. */
export const leastTokens = (characters: number): number => Math.ceil(characters / CHARACTERS_PER_TOKEN);

/** A time as rate headers have it: `250ms`, `1s`, `6m0s`. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.ceil(seconds * 1000)}ms`;
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole}s` : `${Math.floor(whole / 60)}m${whole % 60}s`;
}
