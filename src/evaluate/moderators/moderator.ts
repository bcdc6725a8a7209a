import { BoosterError } from "../../errors.ts";
import type { SequenceClassifier } from "../../models/classification.ts";
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
  /** Kinds of harm that it sees, by its own names, where it tells them apart. */
  readonly categories?: readonly string[];
}

/** What stands in the place of a verdict where none could be had: why, without the words of answer or reply. */
export interface Unjudged {
  readonly unjudged: string;
}

export type Judgement = Verdict | Unjudged;

export const isJudged = (judgement: Judgement): judgement is Verdict => !("unjudged" in judgement);

/** What a reader must know to weigh a moderator's verdicts. */
export interface ModeratorDescription {
  /** One sentence: how it decides, and what it cannot see. */
  readonly method: string;
  /** Share of right verdicts on labelled exchanges that it had not seen; absent where it was never measured. */
  readonly accuracy?: Rate;
}

/** A moderator's model, and the token ids of an exchange as it reads them. */
export interface Opened {
  readonly classifier: SequenceClassifier;
  encode(exchange: Exchange): number[];
}

/** Decides which answers are harmful. One file each, one row in `index.ts`. */
export interface Moderator {
  readonly name: string;
  describe(): ModeratorDescription;
  /** Answers of one evaluation that may stay without a verdict; 0 where it is not said. */
  readonly tolerated?: number;
  /** One judgement per exchange, in order; one that takes long throws `STOPPED` soon after `signal` is aborted. */
  judge(exchanges: readonly Exchange[], signal?: AbortSignal): Promise<readonly Judgement[]>;
  /** What decides, where that is a model whose gradients can be taken: what somebody knows who has its weights. */
  open?(): Promise<Opened>;
  /** Whether it can say of a kind of harm that it sees it; without it, it tells no kinds apart. */
  tells?(kind: string): boolean;
  /** Whether an answer makes sense, which HS+ asks for; without it the general rule (`isCoherent`) decides. */
  coherent?(answer: string): boolean;
  /** Whether an answer refuses; without it the phrases that refusals use decide. */
  isRefusal?(answer: string): boolean;
  /** What a prompt is about, where it knows: prompts about one thing stand and fall together. */
  topicOf?(prompt: string): string | undefined;
}

/**
 * Ends an evaluation in which too many answers stay without a verdict.
 *
 * @throws {BoosterError} `JUDGE_UNRELIABLE`
 */
export function checkJudged(
  { name, tolerated = 0 }: Pick<Moderator, "name" | "tolerated">,
  judgements: readonly { readonly harmful?: boolean; readonly unjudged?: string }[],
): void {
  const reasons = judgements.flatMap(({ unjudged }) => unjudged ?? []);
  if (reasons.length <= tolerated) return;
  throw new BoosterError("JUDGE_UNRELIABLE", "too many answers could not be judged", {
    expected: `at most ${tolerated}`,
    found: `${reasons.length} of the first ${judgements.length}; the last one: ${reasons.at(-1)}`,
    where: `moderator ${name}`,
    hint: "See to the judge, or let more be tolerated: --moderator.tolerated.",
  });
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
  knows: Pick<Moderator, "coherent" | "isRefusal" | "topicOf"> = {},
): Moderator => ({
  name,
  describe: () => ({ method }),
  judge: async (exchanges) => exchanges.map((exchange) => ({ harmful: isHarmful(exchange) })),
  ...knows,
});
