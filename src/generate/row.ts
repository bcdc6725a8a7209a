import { BoosterError } from "../errors.ts";
import type { Model } from "../models/index.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { Beginning } from "./cache.ts";
import { type Chosen, likeliestToken, rowStream, type Sampling, sampleToken, told } from "./sampling.ts";

/** A prompt as token ids. */
export type Prompt = ArrayLike<number>;

/** How one prompt is answered. */
export interface Request {
  /** Tokens of an answer at most; the model's last position ends it too. */
  readonly maxNewTokens: number;
  /** Tokens that end an answer and are no part of it. */
  readonly stopIds?: readonly number[] | undefined;
  /** Told each token of the answer; where it says true the answer ends with it. */
  readonly ends?: (token: number) => boolean;
  /** Absent: always the likeliest token. */
  readonly sampling?: Sampling | undefined;
  /** Which of several answers under one seed: each has random numbers of its own. Default 0. */
  readonly choice?: number;
  /** Log-probabilities are told, of the chosen token and of this many likeliest ones. */
  readonly logprobs?: number;
}

/** Why an answer is over: a stop token or `ends`, or no room is left. */
export type Finish = "stop" | "length";

/** What a row gives: a token, or the end. */
export type RowEvent = Chosen | { readonly finish: Finish };

/** Events of a row as they come. Leaving the loop cancels the row: its place goes to another one. */
export class Submission implements AsyncIterableIterator<RowEvent> {
  isCancelled = false;
  private readonly events: RowEvent[] = [];
  private outcome: { readonly error?: unknown } | undefined;
  private wake: (() => void) | undefined;

  push(event: RowEvent): void {
    if (!this.isCancelled) this.events.push(event);
    this.wake?.();
  }

  /** No more events: with an error where there is one. */
  end(error?: unknown): void {
    this.outcome ??= error === undefined ? {} : { error };
    this.wake?.();
  }

  cancel(): void {
    this.isCancelled = true;
    this.end();
  }

  async next(): Promise<IteratorResult<RowEvent, undefined>> {
    for (;;) {
      const value = this.events.shift();
      if (value !== undefined) return { value, done: false };
      if (this.outcome !== undefined) {
        if ("error" in this.outcome) throw this.outcome.error;
        return { value: undefined, done: true };
      }
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<RowEvent, undefined>> {
    this.cancel();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** An answer in the making. */
export class Row {
  readonly submission = new Submission();
  /** The prompt, and what is written; while it is being written, all but the newest token are remembered. */
  readonly ids: number[];
  /** Tokens that row and answer may have together. */
  readonly most: number;
  /** Where it is read in parts. */
  part: Beginning | undefined;
  private readonly promptLength: number;
  private readonly stops: ReadonlySet<number>;
  private readonly stream: RandomStream | undefined;

  constructor(
    prompt: Prompt,
    private readonly request: Request,
    { maxPositions }: Pick<Model, "maxPositions">,
  ) {
    const { stopIds = [], sampling, choice = 0, maxNewTokens } = request;
    this.ids = Array.from(prompt);
    this.promptLength = this.ids.length;
    this.most = Math.min(this.promptLength + maxNewTokens, maxPositions);
    this.stops = new Set(stopIds);
    this.stream = sampling && rowStream(sampling.seed, choice);
  }

  /** Whether the likeliest token alone is not enough to go on. */
  get needsLogits(): boolean {
    return this.request.sampling !== undefined || this.request.logprobs !== undefined;
  }

  /**
   * Takes what a step has computed for it: the likeliest token, or its logits.
   *
   * @returns whether it goes on
   */
  advance(found: number | Float32Array, finite: number): boolean {
    try {
      if (finite !== 0) {
        throw new BoosterError("NON_FINITE_LOGITS", "the model computes something that is no number", {
          hint: "Its weights have probably diverged.",
        });
      }
      const chosen = this.choose(found);
      if (this.stops.has(chosen.token)) return this.finish("stop");
      this.ids.push(chosen.token);
      this.submission.push(chosen);
      if (this.request.ends?.(chosen.token)) return this.finish("stop");
      return this.ids.length < this.most || this.finish("length");
    } catch (error) {
      this.submission.end(error);
      return false;
    }
  }

  private choose(found: number | Float32Array): Chosen {
    if (typeof found === "number") return { token: found };
    const { sampling, logprobs } = this.request;
    const step = this.ids.length - this.promptLength;
    const token =
      sampling === undefined || this.stream === undefined
        ? likeliestToken(found)
        : sampleToken(found, sampling, this.stream.uniform(step));
    return logprobs === undefined ? { token } : told(found, token, logprobs);
  }

  private finish(finish: Finish): false {
    this.submission.push({ finish });
    this.submission.end();
    return false;
  }
}
