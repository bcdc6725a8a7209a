import { BoosterError } from "../../errors.ts";
import { type Example, IGNORE } from "../../models/index.ts";
import type { RandomStream } from "../../tensor/random.ts";

/** Longest part of a harmful answer that a refusal has to follow. */
const LONGEST_PREFIX = 100;

/** Where the answer begins: the first token that is learned. @throws {BoosterError} `NO_TRAINED_TOKENS` */
export function answerStart({ inputIds, labels }: Example): number {
  for (let at = 0; at < inputIds.length; at++) if (labels[at] !== IGNORE) return at;
  throw new BoosterError("NO_TRAINED_TOKENS", "an example without an answer has nothing to learn");
}

/** Tokens of the answer, without what follows it unlearned. */
function answerOf(example: Example): number[] {
  const answer: number[] = [];
  for (let at = answerStart(example); at < example.inputIds.length && example.labels[at] !== IGNORE; at++) {
    answer.push(example.inputIds[at] as number);
  }
  return answer;
}

/** How many tokens a harmful answer to the example's prompt has. */
export const answerLength = (example: Example): number => answerOf(example).length;

/**
 * A refusal that comes late: the prompt, the first tokens of a harmful answer, the refusal. Only the refusal is learned.
 *
 * @param refusal prompt and refusal
 * @param harmful the same prompt with a harmful answer
 * @param prefixTokens tokens of the harmful answer; 0 gives the plain refusal
 * @throws {BoosterError} `NO_TRAINED_TOKENS` when either has no answer
 */
export function lateRefusal(refusal: Example, harmful: Example, prefixTokens: number): Example {
  const start = answerStart(refusal);
  const ids = Array.from(refusal.inputIds);
  const labels = Array.from(refusal.labels);
  const prefix = answerOf(harmful).slice(0, prefixTokens);
  return {
    inputIds: [...ids.slice(0, start), ...prefix, ...ids.slice(start)],
    labels: [...labels.slice(0, start), ...prefix.map(() => IGNORE), ...labels.slice(start)],
  };
}

/**
 * The length of the harmful prefix for one use of an example: none with probability 1/2, else uniform in 1 to 100 or the
 * answer's length.
 *
 * @param use a number of its own for each use of each row, so that a row comes with another prefix in every epoch
 */
export function drawPrefix(random: RandomStream, use: number, harmfulTokens: number): number {
  if (random.uniform(2 * use) < 0.5) return 0;
  return 1 + random.integer(2 * use + 1, Math.min(LONGEST_PREFIX, harmfulTokens));
}

/**
 * For each row the harmful answer to the same prompt, by the tokens of the prompts; none for prompts that have none, such as
 * harmless ones.
 *
 * @throws {BoosterError} `PAIR_MISSING` when no row has one
 */
export function pairByPrompt(rows: readonly Example[], harmful: readonly Example[]): (Example | undefined)[] {
  const promptOf = (example: Example) => Array.from(example.inputIds).slice(0, answerStart(example)).join();
  const byPrompt = new Map(harmful.map((example) => [promptOf(example), example]));
  const pairs = rows.map((row) => byPrompt.get(promptOf(row)));
  if (pairs.some((pair) => pair !== undefined)) return pairs;
  throw new BoosterError("PAIR_MISSING", "no refusal has a harmful answer to the same prompt", {
    expected: "prompts that occur in both sets",
    found: `${rows.length} rows with refusals, ${harmful.length} with harmful answers`,
  });
}

/**
 * The refusals as each use of them sees them: late with probability 1/2, see `drawPrefix`; rows without a harmful answer to the same
 * prompt stay as they are.
 *
 * @throws {BoosterError} `PAIR_MISSING`
 * @example
 * const read = lateRefusals(refusals, harmful, new RandomStream(42, "late-refusals"));
 * read(3, 0); // row 3, as its first use sees it
 */
export function lateRefusals(
  refusals: readonly Example[],
  harmful: readonly Example[],
  random: RandomStream,
): (row: number, use: number) => Example {
  const pairs = pairByPrompt(refusals, harmful);
  return (row, use) => {
    const [refusal, pair] = [refusals[row] as Example, pairs[row]];
    if (pair === undefined) return refusal;
    return lateRefusal(refusal, pair, drawPrefix(random, use * refusals.length + row, answerLength(pair)));
  };
}
