import { randomInt } from "node:crypto";
import { alpacaPrompt } from "../../data/templates.ts";
import { BoosterError } from "../../errors.ts";
import type { Tokenizer } from "../../formats/tokenizer.ts";
import {
  type Chosen,
  checkPrompt,
  type Engine,
  encodePrompt,
  type Request,
  type SlotAdapter,
  type Submission,
} from "../../generate/index.ts";
import type { Model } from "../../models/index.ts";
import type { Template } from "../../models/model-file.ts";
import { LIMITS } from "../domain/limits.ts";
import { AnswerText, type Piece, servedToken } from "./answer-text.ts";
import {
  type Answered,
  type Ask,
  charactersOf,
  type ServedFinish,
  type ServedPrompt,
  type ServedToken,
} from "./types.ts";

/** What answers requests: an engine and the words of its model. */
export interface Speaker {
  readonly engine: Engine;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly template: Template | undefined;
}

/** Answers that are being written; `withdraw` ends them with `content_filter`. */
export interface Answering {
  /** Settles when all has been told. @throws what a row throws */
  readonly finished: Promise<void>;
  cancel(): void;
  withdraw(): void;
}

interface Teller {
  readonly index: number;
  readonly ids: readonly number[];
  readonly submission: Submission;
  isWithdrawn(): boolean;
}

/**
 * Begins to answer all prompts of a request.
 *
 * @param adapter what is on the base
 * @param group rows are let in fairly over groups
 * @throws {BoosterError} what a prompt is refused for, and `ENGINE_OVERLOADED`
 */
export function answer(
  speaker: Speaker,
  ask: Ask,
  adapter: SlotAdapter | undefined,
  group: string,
  emit: (event: Answered) => void,
): Answering {
  for (const [i, prompt] of ask.prompts.entries()) checkText(speaker.model, prompt, `prompt ${i}`);
  const prompts = ask.prompts.map((prompt) => idsOf(speaker, prompt));
  for (const [i, ids] of prompts.entries()) checkLength(speaker.model, ids, ask.maxNewTokens, `prompt ${i}`);
  const seed = ask.seed ?? randomInt(2 ** 31);
  let withdrawn = false;
  const tellers: Teller[] = [];
  const cancel = () => {
    for (const { submission } of tellers) submission.cancel();
  };
  try {
    for (const ids of prompts) {
      for (let choice = 0; choice < ask.n; choice++) {
        const request = requestOf(speaker, ask, ids, { seed, choice, adapter, group });
        const submission = speaker.engine.submit(ids, request);
        tellers.push({ index: tellers.length, ids, submission, isWithdrawn: () => withdrawn });
      }
    }
  } catch (error) {
    cancel();
    throw error;
  }
  emit({ kind: "begun", promptTokens: prompts.map(({ length }) => length) });
  return {
    finished: Promise.all(tellers.map((teller) => tell(speaker, ask, teller, emit))).then(
      () => undefined,
      (error) => {
        cancel();
        throw error;
      },
    ),
    cancel,
    withdraw() {
      withdrawn = true;
      cancel();
    },
  };
}

/** A conversation is written as the model was trained; a text is taken as it is. */
function idsOf({ tokenizer, template }: Speaker, prompt: ServedPrompt): readonly number[] {
  if ("ids" in prompt) return prompt.ids;
  if ("text" in prompt) return encodePrompt(tokenizer, prompt.text);
  if (template !== "alpaca") return encodePrompt(tokenizer, prompt.messages);
  const [only, ...others] = prompt.messages;
  if (only?.role !== "user" || others.length > 0) {
    throw new BoosterError("TEMPLATE_MISMATCH", "this model was trained on single instructions", {
      expected: "one message of the user",
      found: prompt.messages.map(({ role }) => role).join(", "),
    });
  }
  const bos = tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  return [...bos, ...tokenizer.encodeSegments(alpacaPrompt(only.content, ""))];
}

/** @throws {BoosterError} `PROMPT_TOO_LONG` */
function checkText({ maxPositions }: Model, prompt: ServedPrompt, where: string): void {
  const characters = charactersOf(prompt);
  if (characters <= LIMITS.charactersPerToken * maxPositions) return;
  throw new BoosterError("PROMPT_TOO_LONG", "the prompt is longer than the model's context", {
    expected: `at most ${maxPositions} tokens`,
    found: `${characters} characters`,
    where,
  });
}

/** @throws {BoosterError} `PROMPT_TOO_LONG` with both numbers, and what `checkPrompt` throws */
function checkLength(model: Model, ids: readonly number[], maxNewTokens: number | undefined, where: string): void {
  const { maxPositions } = model;
  const all = ids.length + (maxNewTokens ?? 1);
  if (all > maxPositions) {
    throw new BoosterError(
      "PROMPT_TOO_LONG",
      "the prompt and the answer together are longer than the model's context",
      {
        expected: `at most ${maxPositions} tokens`,
        found: `${all} tokens, ${ids.length} of the prompt and ${all - ids.length} of the answer`,
        where,
      },
    );
  }
  checkPrompt(ids, { ...model, maxPositions: maxPositions + 1 }, where);
}

function requestOf(
  { model, tokenizer }: Speaker,
  ask: Ask,
  ids: readonly number[],
  own: {
    readonly seed: number;
    readonly choice: number;
    readonly adapter: SlotAdapter | undefined;
    readonly group: string;
  },
): Request {
  const { temperature, topP, presencePenalty: presence, frequencyPenalty: frequency, logitBias: bias, logprobs } = ask;
  const isAdjusted = presence !== 0 || frequency !== 0 || bias.size > 0;
  const { seed, choice, adapter, group } = own;
  return {
    maxNewTokens: ask.maxNewTokens ?? Math.min(ask.usualNewTokens, model.maxPositions - ids.length),
    stopIds: tokenizer.eosIds,
    ...(temperature === 0 ? {} : { sampling: { temperature, topP, seed } }),
    choice,
    group,
    ...(logprobs === undefined ? {} : { logprobs, ...(ask.echo ? { echo: logprobs } : {}) }),
    ...(isAdjusted ? { adjust: { presence, frequency, bias } } : {}),
    ...(adapter && { adapter }),
  };
}

/** Tells one answer, piece by piece. */
async function tell(
  { tokenizer }: Speaker,
  ask: Ask,
  { index, ids, submission, isWithdrawn }: Teller,
  emit: (event: Answered) => void,
): Promise<void> {
  let completionTokens = 0;
  const say = (piece: Piece) => emit({ kind: "text", index, ...piece, completionTokens });
  const finish = (finish: ServedFinish) => emit({ kind: "finished", index, finish, completionTokens });
  const prompt = ask.echo ? new Echo(tokenizer, ask.prompts[Math.floor(index / ask.n)]!, ids) : undefined;
  const text = new AnswerText(tokenizer, ask.stop, prompt?.text.length ?? 0);
  let isTold = prompt === undefined;
  for await (const event of submission) {
    if ("echoed" in event) {
      prompt?.push(event.echoed);
      continue;
    }
    if (!isTold && prompt !== undefined) say(prompt.piece(ask.logprobs !== undefined));
    isTold = true;
    if ("token" in event) {
      completionTokens++;
      say(text.push(event));
      if (!text.isOver) continue;
      say(text.end());
      return finish("stop");
    }
    say(text.end());
    const { last } = event;
    if (last !== undefined) completionTokens++;
    if (last?.logprob !== undefined) {
      say({ text: "", tokens: [{ ...servedToken(tokenizer, last, text.length), ends: true }] });
    }
    return finish(text.isOver ? "stop" : event.finish);
  }
  if (isWithdrawn()) finish("content_filter");
}

/** A prompt that is told: its text, and its tokens with their places in it. */
class Echo {
  readonly text: string;
  private readonly offsets: readonly number[];
  private readonly tokens: ServedToken[] = [];

  constructor(
    private readonly tokenizer: Tokenizer,
    prompt: ServedPrompt,
    ids: readonly number[],
  ) {
    const places = new AnswerText(tokenizer, [], 0);
    const pieces = [...ids.map((token) => places.push({ token, logprob: 0 })), places.end()];
    this.offsets = pieces.flatMap(({ tokens }) => tokens.map(({ offset }) => offset));
    this.text = "text" in prompt ? prompt.text : pieces.map(({ text }) => text).join("");
    this.push({ token: ids[0]! });
  }

  push(chosen: Chosen): void {
    this.tokens.push(servedToken(this.tokenizer, chosen, this.offsets[this.tokens.length]!));
  }

  piece = (withTokens: boolean): Piece => ({ text: this.text, tokens: withTokens ? this.tokens : [] });
}
