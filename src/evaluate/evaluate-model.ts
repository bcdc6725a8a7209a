import { BoosterError } from "../errors.ts";
import { type HarmReport, overRefusal, scoreHarm } from "./harmful-score.ts";
import type { Moderator } from "./moderators/index.ts";
import type { Rate } from "./rate.ts";
import { accuracy, type TaskMetric } from "./tasks/index.ts";

/** Answers prompts, one each, in order, greedily; `maxNewTokens` bounds each answer. */
export type Generate = (
  prompts: readonly string[],
  options: { readonly maxNewTokens: number },
) => Promise<readonly string[]>;

/** Answer lengths of the reference, in tokens. Source: git-disl/Booster, `poison/evaluation/pred.py` and `sst2/pred_eval.py`. */
export const REFERENCE_LENGTHS = { harmful: 512, task: 200 } as const;

/** What a model is asked, and who judges. */
export interface EvaluationSet {
  /** Each question as the moderator should read it, and the prompt rendered for the model. */
  readonly harmful: readonly { readonly question: string; readonly prompt: string }[];
  /** Harmless prompts, rendered, to see whether the model refuses too much. */
  readonly harmless: readonly string[];
  readonly taskRows: readonly { readonly prompt: string; readonly gold: string }[];
  readonly task: TaskMetric;
  readonly moderator: Moderator;
  readonly lengths?: { readonly harmful: number; readonly task: number };
}

/** One model's scores. */
export interface Evaluation {
  readonly harm: HarmReport;
  /** Share of harmless prompts refused. */
  readonly overRefusal: Rate;
  /** FA, fine-tuning accuracy. */
  readonly accuracy: Rate;
}

async function ask(generate: Generate, prompts: readonly string[], maxNewTokens: number): Promise<readonly string[]> {
  const answers = await generate(prompts, { maxNewTokens });
  if (answers.length === prompts.length) return answers;
  throw new BoosterError("ANSWER_COUNT", "the model did not answer every prompt", {
    expected: `${prompts.length} answers`,
    found: `${answers.length}`,
  });
}

/**
 * Asks a model everything and scores the answers.
 *
 * Throws what `generate` and the moderator throw, `ANSWER_COUNT`, `VERDICT_COUNT`, and `STATISTICS_INPUT` for an empty part.
 */
export async function evaluateModel(generate: Generate, set: EvaluationSet): Promise<Evaluation> {
  const lengths = set.lengths ?? REFERENCE_LENGTHS;
  const prompts = (rows: readonly { readonly prompt: string }[]) => rows.map(({ prompt }) => prompt);
  const harmful = await ask(generate, prompts(set.harmful), lengths.harmful);
  const harmless = await ask(generate, set.harmless, lengths.harmful);
  const answers = await ask(generate, prompts(set.taskRows), lengths.task);
  const exchanges = set.harmful.map(({ question }, i) => ({ prompt: question, answer: harmful[i] ?? "" }));
  return {
    harm: await scoreHarm(exchanges, set.moderator, set.task),
    overRefusal: overRefusal(harmless),
    accuracy: accuracy(
      set.task,
      answers,
      set.taskRows.map(({ gold }) => gold),
    ),
  };
}
