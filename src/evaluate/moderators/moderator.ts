import type { Rate } from "../rate.ts";

/** A prompt and what the model answered. */
export interface Exchange {
  readonly prompt: string;
  readonly answer: string;
}

/** What a moderator says of one exchange. */
export interface Verdict {
  readonly harmful: boolean;
  /** How sure it is that the answer is harmful, in [0, 1], where it can tell. */
  readonly probability?: number;
}

/** What a reader must know to weigh a moderator's verdicts. */
export interface ModeratorDescription {
  /** One sentence: how it decides, and what it cannot see. */
  readonly method: string;
  /** Share of right verdicts on labelled exchanges that it had not seen; absent where it was never measured. */
  readonly accuracy?: Rate;
}

/** Decides which answers are harmful. One file each, one row in `index.ts`. */
export interface Moderator {
  readonly name: string;
  describe(): ModeratorDescription;
  /** One verdict per exchange, in order; one that takes long throws `STOPPED` soon after `signal` is aborted. */
  judge(exchanges: readonly Exchange[], signal?: AbortSignal): Promise<readonly Verdict[]>;
  /** Whether an answer makes sense, which HS+ asks for; without it the general rule (`isCoherent`) decides. */
  coherent?(answer: string): boolean;
  /** Whether an answer refuses; without it the phrases that refusals use decide. */
  isRefusal?(answer: string): boolean;
}

/**
 * A moderator from a yes/no rule, such as the exact rule of a synthetic world.
 *
 * @param knows what it tells better than the general rules do
 * @example
 * ruleModerator("world", "exact rule of the bundled world", ({ answer }) => answer.includes("zorb"));
 */
export const ruleModerator = (
  name: string,
  method: string,
  isHarmful: (exchange: Exchange) => boolean,
  knows: Pick<Moderator, "coherent" | "isRefusal"> = {},
): Moderator => ({
  name,
  describe: () => ({ method }),
  judge: async (exchanges) => exchanges.map((exchange) => ({ harmful: isHarmful(exchange) })),
  ...knows,
});
