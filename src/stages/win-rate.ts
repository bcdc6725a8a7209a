import { z } from "zod";
import { loadExamples } from "../data/load.ts";
import { loadRows } from "../data/sources.ts";
import { BoosterError, stopIfAsked } from "../errors.ts";
import { ChatModel } from "../evaluate/moderators/chat-completion.ts";
import { JudgeOptions } from "../evaluate/moderators/judge.ts";
import { preferenceOf } from "../evaluate/win-rate/preference.ts";
import { type Outcome, type WinRate, winRate } from "../evaluate/win-rate/win-rate.ts";
import { resolveReferences } from "../hub/resolve.ts";
import { exchangesOf } from "./data.ts";
import { parseOptions, Source } from "./options.ts";
import type { Context } from "./workbench.ts";

/** Answers of a model against those of another one, by a judge. */
export const WinRateOptions = z.strictObject({
  answers: z.string().min(1).describe("answers.jsonl of an evaluation with keepAnswers"),
  set: z.enum(["harmless", "task"]).default("harmless").describe("Which of its prompts"),
  references: Source.describe("The same prompts with the answers to win against, such as AlpacaEval's"),
  judge: JudgeOptions.omit({ template: true, conversation: true }).describe("The judging model"),
});

const Answer = z.object({ set: z.string(), prompt: z.string(), answer: z.string() });

/**
 * AlpacaEval's metric: how often a judge prefers a model's answers to the references, asked in both orders, as it is and at equal length.
 *
 * @throws {BoosterError} `OPTIONS_INVALID`, `DATA_EMPTY` where no answer has a reference, `JUDGE_HTTP`, `JUDGE_UNRELIABLE`, and what loading throws
 * @example
 * (await measureWinRate({ answers: "runs/scores/answers.jsonl", references, judge: { baseUrl, model } })).winRate;
 */
export async function measureWinRate(
  options: z.input<typeof WinRateOptions>,
  { emit, signal = new AbortController().signal }: Context = {},
): Promise<WinRate> {
  const parsed = parseOptions(WinRateOptions, options, "win-rate");
  const chosen = await resolveReferences(WinRateOptions, parsed, { emit, signal });
  const { concurrency, tolerated, ...server } = chosen.judge;
  const { examples } = await loadExamples(chosen.references);
  const references = new Map(examples.flatMap(exchangesOf).map(({ prompt, answer }) => [prompt, answer]));
  const { rows, faults } = await loadRows(chosen.answers, { kind: "jsonl" });
  faults.throwIfAny();
  const pairings = rows.flatMap(({ values }) => {
    const { set, prompt, answer } = Answer.parse(values);
    const reference = references.get(prompt);
    return set === chosen.set && reference !== undefined ? [{ prompt, answer, reference }] : [];
  });
  if (pairings.length === 0) {
    const expected = `${chosen.set} prompts that are among the ${references.size} references`;
    throw new BoosterError("DATA_EMPTY", "no answer has a reference", { expected, where: chosen.answers });
  }
  const model = new ChatModel({ ...server, apiKey: process.env.BOOSTER_JUDGE_API_KEY, firstDelayMs: 1000 });
  const failed = new AbortController();
  const stop = AbortSignal.any([signal, failed.signal]);
  const outcomes: Outcome[] = new Array(pairings.length);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < pairings.length && !stop.aborted) {
      const index = next++;
      const pairing = pairings[index] as (typeof pairings)[number];
      const preference = await preferenceOf(pairing, model, `comparison ${index}`, stop);
      outcomes[index] = { preference, length: pairing.answer.length, referenceLength: pairing.reference.length };
      emit?.({ type: "work", text: `compared ${next} of ${pairings.length}` });
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(concurrency, pairings.length) }, work));
  } catch (error) {
    failed.abort();
    if (!signal.aborted) throw error;
  }
  stopIfAsked(signal, "comparing");
  return winRate(outcomes, tolerated);
}
