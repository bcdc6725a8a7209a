import { LIMITS } from "../domain/limits.ts";
import { ServiceError } from "../domain/service-error.ts";
import type { Metrics } from "./metrics.ts";

/** Streams of events that are open, of each key: it may have so many, of whatever kind. */
export class Streams {
  readonly #open = new Map<string, number>();

  constructor(private readonly metrics: Pick<Metrics, "streams">) {}

  /**
   * Another stream of a key.
   *
   * @returns to be called once when it is over
   * @throws {ServiceError} `rate_limit_exceeded`
   */
  enter(key: string): () => void {
    const there = this.#open.get(key) ?? 0;
    if (there >= LIMITS.streamsPerKey) {
      throw new ServiceError("rate_limit_exceeded", "this key has too many open streams", { retryAfter: 10 });
    }
    this.#open.set(key, there + 1);
    this.metrics.streams.inc();
    return () => {
      this.metrics.streams.dec();
      const left = (this.#open.get(key) ?? 1) - 1;
      if (left > 0) this.#open.set(key, left);
      else this.#open.delete(key);
    };
  }
}
