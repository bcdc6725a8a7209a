import type { ChatMessage } from "../../formats/chat-template.ts";

/** An adapter as the engine opens it. `key` is the name of its model, which never means another one; files are paths by the names of PEFT's folder. */
export interface ServedAdapter {
  readonly key: string;
  readonly files: Readonly<Record<string, string>>;
}

/** What a model's name means: the name of a base, and the adapter on it. */
export interface ServedModel {
  readonly base: string;
  readonly adapter?: ServedAdapter;
}

/** Who asks: rows are let in fairly over projects. Aborting the signal ends all rows of a request. */
export interface Caller {
  readonly project: string;
  readonly signal?: AbortSignal;
  /** Told of tokens of answers as they are computed, whether anybody reads them or not. */
  readonly onTokens?: (computed: number) => void;
}

/** A conversation whose next turn is the assistant's, a text to go on from, or its token ids. */
export type ServedPrompt =
  | { readonly messages: readonly ChatMessage[] }
  | { readonly text: string }
  | { readonly ids: readonly number[] };

/** Of a prompt's texts, before anything is read; token ids have none. */
export function charactersOf(prompt: ServedPrompt): number {
  if ("ids" in prompt) return 0;
  const texts = "text" in prompt ? [prompt.text] : prompt.messages.map(({ content }) => content);
  return texts.reduce((sum, text) => sum + text.length, 0);
}

/** A request of several prompts, each answered `n` times. */
export interface Ask {
  readonly model: ServedModel;
  readonly prompts: readonly ServedPrompt[];
  readonly n: number;
  /** Absent: `usualNewTokens`, or to the end of the context where that comes first. */
  readonly maxNewTokens?: number | undefined;
  readonly usualNewTokens: number;
  /** 0: always the likeliest token. */
  readonly temperature: number;
  readonly topP: number;
  /** Absent: drawn. Choice i of a prompt draws from stream (seed, i). */
  readonly seed?: number | undefined;
  /** Texts that end an answer and are no part of it. */
  readonly stop: readonly string[];
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Added to logits, by token id. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Log-probabilities are told, of each token and of this many likeliest ones. */
  readonly logprobs?: number | undefined;
  /** The prompt is told as well, text and tokens. */
  readonly echo: boolean;
}

/** A token with its natural log-probability before temperature, penalties and bias; null for the first of a prompt that is told. */
export interface ServedToken extends TokenChance<number | null> {
  /** Where its text begins in the answer's, in characters; the prompt counts where it is told. */
  readonly offset: number;
  /** Likeliest first. */
  readonly top: readonly TokenChance<number>[];
  /** It ended the answer and is no part of its text. */
  readonly ends?: true;
}

export interface TokenChance<Logprob> {
  readonly id: number;
  /** As text; `bytes:\x..` where its bytes are no UTF-8. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: Logprob;
}

/** `content_filter`: the model was withdrawn meanwhile. */
export type ServedFinish = "stop" | "length" | "content_filter";

/** What comes of a request. Answer `choice` of prompt p has index p * n + choice. */
export type Answered =
  | { readonly kind: "begun"; readonly promptTokens: readonly number[] }
  /** Text that is certain, and where log-probabilities were asked for the tokens that it came from. */
  | {
      readonly kind: "text";
      readonly index: number;
      readonly text: string;
      readonly tokens: readonly ServedToken[];
      /** All of this answer that were computed so far. */
      readonly completionTokens: number;
    }
  | {
      readonly kind: "finished";
      readonly index: number;
      readonly finish: ServedFinish;
      /** All that were computed, the ending one too. */
      readonly completionTokens: number;
    };

/** What stays the same of a base as long as the engine runs. */
export interface ServedBase {
  readonly name: string;
  /** Hash of base and program: answers of the same request may differ where it differs. */
  readonly fingerprint: string;
  readonly contextLength: number;
  readonly vocabularySize: number;
  readonly chatTemplate: string | null;
  readonly bosToken: string | null;
  readonly eosToken: string | null;
  readonly padToken: string | null;
}

/** How busy an engine's process is. */
export interface EngineStatus {
  /** `failed`: its model cannot be loaded; `leaving`: it goes when its last request is over. */
  readonly state: "starting" | "ready" | "failed" | "leaving";
  /** Of its process, while there is one. */
  readonly pid: number | undefined;
  readonly rows: number;
  readonly waiting: number;
  readonly slots: { readonly total: number; readonly used: number; readonly pinned: number };
  readonly cacheBytes: number;
  readonly restarts: number;
  /** What it counts with of the memory that bases may take. */
  readonly bytes: number;
  /** Of answers that came to their end. */
  readonly tokens: { readonly prompt: number; readonly completion: number };
}

/** Of a process that does nothing. */
export const IDLE = {
  rows: 0,
  waiting: 0,
  cacheBytes: 0,
  slots: { total: 0, used: 0, pinned: 0 },
  tokens: { prompt: 0, completion: 0 },
  bytes: 0,
};

/**
 * Serves bases with adapters on them; each base has a process of its own.
 *
 * @example
 * const engine = startServing({ folderOf: async (name) => join("data/bases", name), version: "1" });
 * for await (const event of engine.answer(ask, { project })) if (event.kind === "text") process.stdout.write(event.text);
 */
export interface ServingEngine {
  /**
   * Rows are cancelled when the caller's signal is aborted or the loop is left.
   *
   * @throws {ServiceError} `context_length_exceeded`, `invalid_value`, `engine_overloaded`, `engine_restarted`, `internal_error`
   */
  answer(ask: Ask, caller: Caller): AsyncIterable<Answered>;
  /** Special tokens written in the text are recognised. */
  tokenize(base: string, text: string, addSpecialTokens: boolean): Promise<readonly number[]>;
  detokenize(base: string, ids: readonly number[]): Promise<string>;
  /** Loads a base that is not there. @throws {ServiceError} `model_not_found`, `engine_overloaded`, `engine_restarted` while its process starts again, `internal_error` where it cannot be loaded */
  base(name: string): Promise<ServedBase>;
  /** Lets a base go when its last answer is over. */
  leave(base: string): void;
  /** Ends the rows of a model with `content_filter` and forgets its numbers. */
  withdraw(model: string): void;
  /** Of the bases that are in memory, or on their way there or from there. */
  status(): Readonly<Record<string, EngineStatus>>;
  close(): Promise<void>;
}
