import { BoosterError, stopIfAsked } from "../errors.ts";
import type { HostTensor } from "../tensor/tensor.ts";
import { Engine, type EngineLimits, ROWS } from "./engine.ts";
import { FEW, type Form, formsOf } from "./forms.ts";
import { type GeneratorOptions, type Programs, programsOf } from "./programs.ts";
import { checkPrompt, commonBeginning } from "./prompts.ts";
import type { Finish, Prompt, Request } from "./row.ts";
import { checkSampling } from "./sampling.ts";
import type { AdapterPool } from "./slots.ts";

export interface GenerateOptions extends Pick<Request, "maxNewTokens" | "stopIds" | "sampling"> {
  /** The LoRA factors whose shapes the generator was made with, e.g. `await trainingProgram.trained()`. */
  readonly lora?: ReadonlyMap<string, HostTensor>;
  /** Told each token of an answer, and the number of its prompt; where it says true the answer ends with it. */
  readonly ends?: (token: number, prompt: number) => boolean;
}

export interface BatchOptions extends GenerateOptions {
  /** Prompts that are answered at once. Default 16. */
  readonly batchSize?: number;
  /** Called after each answer. */
  readonly onProgress?: (answered: number, total: number) => void;
  /** Aborted to end before the next token. */
  readonly signal?: AbortSignal | undefined;
}

export interface Answer {
  readonly ids: readonly number[];
  /** Whether a stop token ended it, or the room for it. */
  readonly finish: Finish;
}

/** A form of the weights, and the programs that read it, by the modules that slots have factors of. */
interface Written {
  readonly form: Form;
  programs(modules: readonly string[]): Programs;
}

/** Reading that has to be saved for a common beginning to be worth programs of its own, in tokens. */
const WORTH_SHARING = 512;

/**
 * Continues prompts with a model, many at once, each token computed once (keys and values are remembered).
 *
 * Weights and LoRA factors are arguments: a generator made once evaluates an adapter again and again while it is trained.
 *
 * @example
 * const generator = await Generator.create({ device, model, weights });
 * const [answer] = await generator.generate([[1, 5, 9]], { maxNewTokens: 32, stopIds: [2] });
 */
export class Generator {
  private constructor(
    readonly options: GeneratorOptions,
    private readonly few: Written,
    private readonly many: Written,
  ) {}

  /** @throws {BoosterError} `MISSING_WEIGHT`, and what compiling throws; where weights are stored in few bits the first answer may throw it. */
  static async create(options: GeneratorOptions): Promise<Generator> {
    const { few, many } = await formsOf(options);
    const written = (form: Form): Written => {
      const programs = once((modules: readonly string[]): Programs => {
        const { prefill, decode, head, seen } = programsOf(options, form, modules);
        return { prefill: once(prefill), decode: once(decode), head: once(head), seen };
      });
      return { form, programs };
    };
    const whenFew = written(few);
    // Programs of the form that is used are compiled by its first row; of two forms it may be either.
    if (many !== few) return new Generator(options, whenFew, written(many));
    await whenFew.programs([]).prefill("tokens");
    return new Generator(options, whenFew, whenFew);
  }

  /** The engine that writes answers, for rows that come one by one; all of them have the same LoRA factors, and each those that it names of a pool. */
  async open(
    lora: GenerateOptions["lora"] = new Map<string, HostTensor>(),
    limits: EngineLimits = {},
    pool?: AdapterPool,
  ): Promise<Engine> {
    const { device, model } = this.options;
    const { form, programs } = (limits.rows ?? ROWS) <= FEW ? this.few : this.many;
    const args = { base: await form.weights(), tensors: await device.uploadAll(lora) };
    const using = () => {
      const { modules, stacks } = pool?.view ?? { modules: [], stacks: {} };
      return { programs: programs(modules), args: { ...args, stacks } };
    };
    return new Engine(model, using, limits, pool);
  }

  /**
   * Answers in the order of the prompts. What they have in common at their beginning is computed once. A prompt's answer does not depend on
   * the others, as long as two tokens are not so close that the rounding of another batch size decides.
   *
   * @throws {BoosterError} `PROMPT_EMPTY`, `PROMPT_TOO_LONG`, `TOKEN_UNKNOWN`, `SAMPLING_INVALID`, `GENERATE_OPTION_INVALID`,
   * `NON_FINITE_LOGITS`, `STOPPED`, and `MISSING_ARGUMENT` where `lora` is needed and absent
   */
  async generate(prompts: readonly Prompt[], options: BatchOptions): Promise<Answer[]> {
    const { batchSize = 16, onProgress, signal, lora } = options;
    this.check(prompts, options);
    if (prompts.length === 0) return [];
    const engine = await this.open(lora, { rows: Math.min(batchSize, prompts.length) });
    const beginning = commonBeginning(prompts);
    if (beginning.length * (prompts.length - 1) >= WORTH_SHARING) await engine.share(beginning);
    // The longest ones first: those that are written together are of like length, and none is left over for the end.
    const order = prompts.map((_, index) => index).sort((a, b) => prompts[b]!.length - prompts[a]!.length || a - b);
    const submissions = order.map((i) => engine.submit(prompts[i]!, requestOf(options, i)));
    const answers: Answer[] = [];
    let answered = 0;
    try {
      const collected = submissions.map(async (submission, place) => {
        const ids: number[] = [];
        for await (const event of submission) {
          stopIfAsked(signal, "answering");
          if ("token" in event) ids.push(event.token);
          else if ("finish" in event) {
            answers[order[place] as number] = { ids, finish: event.finish };
            onProgress?.(++answered, prompts.length);
          }
        }
      });
      await Promise.all(collected);
    } finally {
      engine.close();
    }
    return answers;
  }

  /** The answer to one prompt, token by token. Throws what `generate` throws. */
  async *stream(prompt: Prompt, options: GenerateOptions): AsyncGenerator<number> {
    this.check([prompt], options);
    const engine = await this.open(options.lora, { rows: 1 });
    for await (const event of engine.submit(prompt, requestOf(options, 0))) if ("token" in event) yield event.token;
  }

  private check(prompts: readonly Prompt[], { maxNewTokens, batchSize = 1, sampling }: BatchOptions): void {
    for (const [i, prompt] of prompts.entries()) checkPrompt(prompt, this.options.model, `prompt ${i}`);
    if (sampling !== undefined) checkSampling(sampling);
    for (const [where, value] of Object.entries({ maxNewTokens, batchSize })) {
      if (Number.isInteger(value) && value > 0) continue;
      throw new BoosterError("GENERATE_OPTION_INVALID", "answers cannot be written like this", {
        expected: "a whole number above 0",
        found: String(value),
        where,
      });
    }
  }
}

const requestOf = ({ ends, ...options }: GenerateOptions, choice: number): Request => ({
  ...options,
  choice,
  ...(ends && { ends: (token) => ends(token, choice) }),
});

/** The same result for the same arguments. */
function once<A extends readonly unknown[], T>(make: (...args: A) => T): (...args: A) => T {
  const made = new Map<string, T>();
  return (...args) => {
    const key = args.join(" ");
    const known = made.get(key) ?? make(...args);
    made.set(key, known);
    return known;
  };
}
