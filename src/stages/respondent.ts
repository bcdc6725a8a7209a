import { Generator, type Sampling } from "../generate/index.ts";
import type { Adapter } from "../models/index.ts";
import type { LoadedModel, NamedWeights } from "../models/load.ts";
import type { Question } from "./data.ts";

export interface AnswerOptions {
  readonly maxNewTokens: number;
  /** Questions that are answered at once. */
  readonly batchSize: number;
  /** Absent: always the likeliest token. */
  readonly sampling?: Sampling | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onAnswer?: (answered: number, total: number) => void;
}

/** One answer a question, in order, without special tokens and surrounding blanks; `tensors` are on the model. */
export type Respondent = (
  questions: readonly Question[],
  tensors: NamedWeights,
  options: AnswerOptions,
) => Promise<string[]>;

/**
 * A model that answers questions at whatever trained weights.
 *
 * @param adapter its tensors are those whose names and shapes each call brings
 * @throws {BoosterError} a call: `STOPPED` when asked to stop, and what generating throws
 */
export async function openRespondent(
  { device, model, weights, tokenizer }: LoadedModel,
  adapter: Adapter<NamedWeights>,
): Promise<Respondent> {
  const generator = await Generator.create({ device, model, weights, adapter });
  return async (questions, tensors, { onAnswer, ...options }) => {
    const answers = await generator.generate(
      questions.map(({ ids }) => ids),
      {
        ...options,
        stopIds: tokenizer.eosIds,
        lora: tensors,
        ...(onAnswer === undefined ? {} : { onProgress: onAnswer }),
      },
    );
    return answers.map(({ ids }) => tokenizer.decode(ids, { skipSpecial: true }).trim());
  };
}
