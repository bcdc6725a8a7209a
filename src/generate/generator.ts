import { BoosterError, stopIfAsked } from "../errors.ts";
import { type Widening, widening } from "../models/storages.ts";
import { type DeviceTensors, typesOf } from "../runtime/index.ts";
import type { RandomStream } from "../tensor/random.ts";
import { type HostTensor, tensor } from "../tensor/tensor.ts";
import { KvCache } from "./cache.ts";
import { compilePrograms, type GeneratorOptions, type Programs, type Wanted } from "./programs.ts";
import { checkPrompt, type Prompt, packPrompts } from "./prompts.ts";
import { checkSampling, rowStream, type Sampling, sampleToken } from "./sampling.ts";

export interface GenerateOptions {
  /** Tokens of an answer at most; the model's last position ends it too. */
  readonly maxNewTokens: number;
  /** Tokens that end an answer and are no part of it. */
  readonly stopIds?: readonly number[];
  /** Absent: always the likeliest token. */
  readonly sampling?: Sampling;
  /** The LoRA factors whose shapes the generator was made with, e.g. `await trainingProgram.trained()`. */
  readonly lora?: ReadonlyMap<string, HostTensor>;
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
  readonly finish: "stop" | "length";
}

/** Options of a call, and the weights in it. */
type Call = GenerateOptions & { readonly base: DeviceTensors };

/** Weights are widened where this many times their size in float32 is free. */
const ROOM = 2;

/** An answer in the making. */
interface Row {
  /** Number of the prompt. */
  readonly prompt: number;
  /** Tokens that the answer may have. */
  readonly limit: number;
  readonly stream: RandomStream | undefined;
  /** The prompt, and what is written; all but the newest token are in the cache. */
  readonly ids: number[];
  written: number;
}

/** What a step gave: a token, or the end. */
type Event = { readonly prompt: number } & ({ readonly token: number } | { readonly finish: Answer["finish"] });

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
  readonly options: GeneratorOptions;
  private readonly compiled = new Map<Wanted, Promise<Programs>>();
  /** Absent where weights are expanded at each token, which takes several times as long but no memory. */
  private readonly widening: Widening | undefined;

  private constructor(options: GeneratorOptions) {
    this.options = options;
    const { device, model, weights } = options;
    const found = widening(device, model, weights);
    // The numbers are the same either way.
    if (found.bytes > 0 && ROOM * found.bytes <= process.availableMemory()) this.widening = found;
  }

  /** @throws {BoosterError} `MISSING_WEIGHT`, and what compiling throws. */
  static async create(options: GeneratorOptions): Promise<Generator> {
    const generator = new Generator(options);
    await generator.programs("tokens");
    return generator;
  }

  /**
   * Answers in the order of the prompts. Prompts of like length share a batch; a prompt's answer does not depend on
   * the others, as long as two tokens are not so close that the rounding of another batch size decides.
   *
   * @throws {BoosterError} `PROMPT_EMPTY`, `PROMPT_TOO_LONG`, `TOKEN_UNKNOWN`, `SAMPLING_INVALID`, `GENERATE_OPTION_INVALID`,
   * `NON_FINITE_LOGITS`, `STOPPED`, and `MISSING_ARGUMENT` where `lora` is needed and absent
   */
  async generate(prompts: readonly Prompt[], options: BatchOptions): Promise<Answer[]> {
    const { batchSize = 16, onProgress, signal } = options;
    const order = prompts.map((_, index) => index).sort((a, b) => prompts[b]!.length - prompts[a]!.length || a - b);
    const ids = prompts.map((): number[] => []);
    const answers: Answer[] = [];
    let answered = 0;
    this.check(prompts, options);
    const call = { ...options, base: await this.base() };
    // Those that are turned otherwise do not share a batch with the others.
    const isLong = (prompt: number) => this.isLong(prompts[prompt]!);
    for (const alike of [order.filter(isLong), order.filter((prompt) => !isLong(prompt))]) {
      for (let start = 0; start < alike.length; start += batchSize) {
        for await (const event of this.decode(prompts, alike.slice(start, start + batchSize), call)) {
          stopIfAsked(signal, "answering");
          if ("token" in event) ids[event.prompt]!.push(event.token);
          else {
            answers[event.prompt] = { ids: ids[event.prompt]!, finish: event.finish };
            onProgress?.(++answered, prompts.length);
          }
        }
      }
    }
    return answers;
  }

  /** The answer to one prompt, token by token. Throws what `generate` throws. */
  async *stream(prompt: Prompt, options: GenerateOptions): AsyncGenerator<number> {
    this.check([prompt], options);
    const call = { ...options, base: await this.base() };
    for await (const event of this.decode([prompt], [0], call)) if ("token" in event) yield event.token;
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

  private programs(wanted: Wanted): Promise<Programs> {
    const types = this.widening?.types ?? typesOf(this.options.weights);
    const known = this.compiled.get(wanted) ?? compilePrograms(this.options, types, wanted);
    this.compiled.set(wanted, known);
    return known;
  }

  /** The weights of a call. */
  private base = async (): Promise<DeviceTensors> => (await this.widening?.widen()) ?? this.options.weights;

  private isLong({ length }: Prompt): boolean {
    const { longBeyond } = this.options.model;
    return longBeyond !== undefined && length > longBeyond;
  }

  /** One batch until its last answer is complete. What has grown so long that all of it is turned otherwise is read anew. */
  private async *decode(all: readonly Prompt[], batch: readonly number[], call: Call): AsyncGenerator<Event> {
    const { maxNewTokens, sampling } = call;
    let rows = batch.map((prompt): Row => {
      const ids = Array.from(all[prompt] as Prompt);
      const limit = Math.min(maxNewTokens, this.options.model.maxPositions - ids.length);
      return { prompt, limit, stream: sampling && rowStream(sampling.seed, prompt), ids, written: 0 };
    });
    while (rows.length > 0) rows = yield* this.continued(rows, call);
  }

  /**
   * Rows until the last one is complete. Those that are complete leave: the others run faster without them.
   *
   * @returns those that have to be read anew
   */
  private async *continued(
    rows: Row[],
    { base, stopIds = [], sampling, lora = new Map<string, HostTensor>() }: Call,
  ): AsyncGenerator<Event, Row[]> {
    const { device, model } = this.options;
    const { prefill, decode } = await this.programs(sampling === undefined ? "tokens" : "logits");
    const args = { base, tensors: await device.uploadAll(lora) };
    const lengths = rows.map(({ ids }) => ids.length);
    const read = checkFinite(await prefill.run({ ...args, prompts: packPrompts(rows.map(({ ids }) => ids)) }));
    const room = Math.max(...rows.map(({ limit, written }) => limit - written));
    const cache = new KvCache(model, lengths, room, read.cache);
    const wereLong = rows.some(({ ids }) => this.isLong(ids));
    const again: Row[] = [];
    let { next: told } = read;
    for (;;) {
      const next = nextTokens(rows, told, sampling);
      // Backwards: the row that takes a finished one's place has had its turn.
      for (let r = rows.length - 1; r >= 0; r--) {
        const row = rows[r] as Row;
        const token = next[r] as number;
        const stopped = stopIds.includes(token);
        if (!stopped) {
          yield { prompt: row.prompt, token };
          row.ids.push(token);
          row.written++;
        }
        const isDone = stopped || row.written >= row.limit;
        const hasGrown = !wereLong && this.isLong(row.ids);
        if (!isDone && !hasGrown) continue;
        if (isDone) yield { prompt: row.prompt, finish: stopped ? "stop" : "length" };
        else again.push(row);
        cache.remove(r);
        rows[r] = rows.at(-1) as Row;
        rows.pop();
      }
      if (rows.length === 0) return again;
      const vector = (values: number[]) => tensor("int32", [rows.length], values);
      const positions = rows.map(({ ids }) => ids.length - 1);
      const ids = vector(rows.map((row) => row.ids.at(-1) as number));
      const step = await decode.run({ ...args, cache: cache.views(), ids, positions: vector(positions) });
      cache.append((checkFinite(step).fresh as HostTensor<"float32">).data, positions);
      told = step.next;
    }
  }
}

function nextTokens(rows: readonly Row[], told: HostTensor, sampling: Sampling | undefined): ArrayLike<number> {
  if (sampling === undefined) return (told as HostTensor<"int32">).data;
  const { data, shape } = told as HostTensor<"float32">;
  const vocabulary = shape[1] as number;
  return rows.map(({ stream, written }, r) => {
    const own = data.subarray(r * vocabulary, (r + 1) * vocabulary);
    return sampleToken(own, sampling, (stream as RandomStream).uniform(written));
  });
}

function checkFinite<T extends { readonly finite: HostTensor }>(outputs: T): T {
  if (outputs.finite.data[0] === 0) return outputs;
  throw new BoosterError("NON_FINITE_LOGITS", "the model computes something that is no number", {
    hint: "Its weights have probably diverged.",
  });
}
