import { BoosterError } from "../errors.ts";
import type { Model } from "../models/index.ts";
import type { RandomStream } from "../tensor/random.ts";
import type { Beginning } from "./cache.ts";
import {
  type Adjust,
  adjusted,
  type Chosen,
  likeliestToken,
  rowStream,
  type Sampling,
  sampleToken,
  told,
} from "./sampling.ts";
import type { SlotAdapter } from "./slots.ts";

/** A prompt as token ids. */
export type Prompt = ArrayLike<number>;

/** How one prompt is answered. */
export interface Request {
  /** Tokens of an answer at most; the model's last position ends it too. 0 where only the prompt is asked about. */
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
  /** The prompt's own tokens are told first, with their log-probabilities and this many likeliest ones; nothing is told of its first token. */
  readonly echo?: number;
  /** What is added to logits before a token is chosen; log-probabilities are without. */
  readonly adjust?: Adjust | undefined;
  /** What is on the base for this row. Absent: the base itself, or the factors that the engine was opened with. */
  readonly adapter?: SlotAdapter | undefined;
  /** Rows are let in fairly over groups. */
  readonly group?: string;
}

/** Why an answer is over: a stop token or `ends`, or no room is left. */
export type Finish = "stop" | "length";

/** What a row gives: tokens of its prompt where they are asked for, tokens, and the end with the stop token that made it. */
export type RowEvent = { readonly echoed: Chosen } | Chosen | { readonly finish: Finish; readonly last?: Chosen };

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
  /** Of its adapter, once it is let in; 0 is the base. */
  slot = 0;
  /** Prompt tokens that are still to be told, the first one apart. */
  echoes: number;
  readonly since = performance.now();
  private readonly promptLength: number;
  private readonly stops: ReadonlySet<number>;
  private readonly stream: RandomStream | undefined;
  /** How often each token has been written, where that counts. */
  private readonly counts: Map<number, number> | undefined;

  constructor(
    prompt: Prompt,
    readonly request: Request,
    { maxPositions }: Pick<Model, "maxPositions">,
  ) {
    const { stopIds = [], sampling, choice = 0, maxNewTokens } = request;
    this.ids = Array.from(prompt);
    this.promptLength = this.ids.length;
    this.most = Math.min(this.promptLength + maxNewTokens, maxPositions);
    this.stops = new Set(stopIds);
    this.stream = sampling && rowStream(sampling.seed, choice);
    this.echoes = request.echo === undefined ? 0 : this.promptLength - 1;
    this.counts = request.adjust && new Map();
  }

  /** Whether the likeliest token alone is not enough to go on. */
  get needsLogits(): boolean {
    const { sampling, logprobs, adjust } = this.request;
    return sampling !== undefined || logprobs !== undefined || adjust !== undefined;
  }

  /** Tells the next token of the prompt, whose logits these are. */
  tell(logits: Float32Array): void {
    const token = this.ids[this.promptLength - this.echoes--] as number;
    this.submission.push({ echoed: told(logits, token, this.request.echo as number) });
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
      if (this.ids.length >= this.most) return this.finish("length");
      const chosen = this.choose(found);
      if (this.stops.has(chosen.token)) return this.finish("stop", chosen);
      this.ids.push(chosen.token);
      this.counts?.set(chosen.token, (this.counts.get(chosen.token) ?? 0) + 1);
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
    const { sampling, logprobs, adjust } = this.request;
    const step = this.ids.length - this.promptLength;
    const logits = adjust && this.counts ? adjusted(found, adjust, this.counts) : found;
    const token =
      sampling === undefined || this.stream === undefined
        ? likeliestToken(logits)
        : sampleToken(logits, sampling, this.stream.uniform(step));
    return logprobs === undefined ? { token } : told(found, token, logprobs);
  }

  private finish(finish: Finish, last?: Chosen): false {
    this.submission.push({ finish, ...(last && { last }) });
    this.submission.end();
    return false;
  }
}
