import { Generator } from "../generate/index.ts";
import type { Adapter } from "../models/index.ts";
import type { LoadedModel, NamedWeights } from "../models/load.ts";
import type { Question } from "./data.ts";

export interface AnswerOptions {
  readonly maxNewTokens: number;
  /** Questions that are answered at once. */
  readonly batchSize: number;
  readonly signal?: AbortSignal | undefined;
  readonly onAnswer?: (answered: number, total: number) => void;
}

/** A model that answers questions, greedily, at whatever trained weights. */
export class Respondent {
  private readonly generator: Generator;
  private readonly base: LoadedModel;

  private constructor(generator: Generator, base: LoadedModel) {
    this.generator = generator;
    this.base = base;
  }

  /** @param adapter its tensors are those whose names and shapes each call brings */
  static async create(base: LoadedModel, adapter: Adapter<NamedWeights>): Promise<Respondent> {
    const { device, model, weights } = base;
    return new Respondent(await Generator.create({ device, model, weights, adapter }), base);
  }

  /**
   * One answer a question, in order, without special tokens and surrounding blanks.
   *
   * @throws {BoosterError} `STOPPED` when asked to stop, and what generating throws
   */
  async answer(
    questions: readonly Question[],
    trained: NamedWeights,
    { onAnswer, ...options }: AnswerOptions,
  ): Promise<string[]> {
    const { tokenizer } = this.base;
    const answers = await this.generator.generate(
      questions.map(({ ids }) => ids),
      {
        ...options,
        stopIds: tokenizer.eosIds,
        lora: trained,
        ...(onAnswer === undefined ? {} : { onProgress: onAnswer }),
      },
    );
    return answers.map(({ ids }) => tokenizer.decode(ids, { skipSpecial: true }).trim());
  }
}
