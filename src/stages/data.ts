import { type Example as DataExample, messagesOf } from "../data/examples.ts";
import { loadExamples } from "../data/load.ts";
import type { SourceOptions, TemplateOptions } from "../data/options.ts";
import { disjointSets, hashExamples } from "../data/split.ts";
import {
  alpacaPrompt,
  type EncodedExample,
  type EncodedRows,
  type EncodeOptions,
  encodeEach,
  encodeExample,
  instructionOf,
  refusal,
  variablesOf,
} from "../data/templates.ts";
import { BoosterError } from "../errors.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import { checkPrompt, encodePrompt } from "../generate/index.ts";
import type { Example, Model } from "../models/index.ts";
import type { Template } from "../models/model-file.ts";
import type { Following } from "../train/index.ts";

/** A set of examples as a run uses it, with what the run records about it. */
export interface DataSet {
  readonly examples: readonly DataExample[];
  readonly record: {
    readonly readAs: string;
    readonly files: readonly { readonly path: string; readonly sha256: string }[];
    readonly rows: number;
    /** Rows left out because they repeat a question that was to be avoided. */
    readonly avoided: number;
    /** Of the examples in their order. */
    readonly sha256: string;
  };
}

/**
 * Loads sources and leaves out what repeats a question of the data to avoid.
 *
 * @param harmful whether rows with several answers stand for the harmful one
 * @throws {BoosterError} `DATA_EMPTY` when nothing is left, and what `loadExamples` throws
 */
export async function loadDataSet(
  source: SourceOptions,
  avoid: readonly SourceOptions[] = [],
  tell?: Tell,
  harmful = false,
): Promise<DataSet> {
  const { examples, readAs, recognised, files } = await loadExamples(source, harmful);
  tell?.(recognised);
  const others: DataExample[] = [];
  for (const other of avoid) others.push(...(await loadExamples(other)).examples);
  const kept = others.length === 0 ? examples : disjointSets({ others, own: examples }).own.examples;
  if (kept.length === 0) {
    throw new BoosterError("DATA_EMPTY", "no row is left", {
      found: `${examples.length} rows, each of which repeats a question to avoid`,
      where: source.path,
    });
  }
  const avoided = examples.length - kept.length;
  if (avoided > 0) tell?.(`${avoided} of ${examples.length} rows left out: they repeat a question to avoid`);
  return {
    examples: kept,
    record: {
      readAs,
      files: files.map(({ path, sha256 }) => ({ path, sha256 })),
      rows: kept.length,
      avoided,
      sha256: hashExamples(kept),
    },
  };
}

/** How a run turns examples into tokens. */
export interface Encoding extends TemplateOptions {
  readonly template: Template;
  readonly tokenizer: Tokenizer;
  readonly model: Model;
  readonly unusable: "refuse" | "skip";
}

/** Examples as tokens; `places` says which example each row is. */
export interface EncodedSet {
  readonly rows: readonly EncodedExample[];
  readonly places: readonly number[];
  readonly record: { readonly usable: number; readonly unusable: number; readonly truncated: number };
}

/** How long rows may be: as the run says, and never beyond the positions that the model knows. */
export const rowLimit = ({
  template,
  tooLong,
  maxTokens,
  model,
  tokenizer,
}: TemplateOptions &
  Pick<Encoding, "tokenizer" | "template"> & { readonly model: Pick<Model, "maxPositions"> }): EncodeOptions => ({
  tokenizer,
  template,
  tooLong,
  maxTokens: Math.min(maxTokens, model.maxPositions),
});

/**
 * Tokens of examples; nothing is left out unless `unusable` says so, and then it is counted.
 *
 * @throws {BoosterError} the code of the first example that cannot be used, with the lines of the first few; the same where
 * none can be used
 */
export function encodeAll(examples: readonly DataExample[], encoding: Encoding, tell?: Tell): EncodedSet {
  const options = rowLimit(encoding);
  return usable(
    encodeEach(examples, (example) => encodeExample(example, options)),
    encoding.unusable,
    tell,
  );
}

/** Takes what happened to rows, in words. */
type Tell = (text: string) => void;

/** Tells whoever follows a run what happened to the rows of one of its options. */
export const teller =
  (emit: Following["emit"], option: string): Tell =>
  (text) =>
    emit?.({ type: "notice", text: `${option}: ${text}` });

/** `encodeAll` for rows that are encoded already. */
export function usable(
  { encoded, places, refused, truncated }: EncodedRows,
  unusable: Encoding["unusable"],
  tell?: Tell,
): EncodedSet {
  const all = places.length + refused.length;
  const [first] = refused;
  if (first !== undefined && (unusable === "refuse" || encoded.length === 0)) throw refusal(refused, all);
  if (first !== undefined) tell?.(`${refused.length} of ${all} rows left out, the first: ${first.message}`);
  if (truncated > 0) tell?.(`${truncated} of ${all} rows cut to maxTokens`);
  return { rows: encoded, places, record: { usable: encoded.length, unusable: refused.length, truncated } };
}

/** Encoded examples as programs take them. */
export const trainable = (encoded: readonly EncodedExample[]): Example[] =>
  encoded.map(({ ids, labels }) => ({ inputIds: ids, labels }));

/** What the user says in an example, as a moderator reads it. */
export const promptOf = (example: DataExample): string =>
  messagesOf(example)
    .filter(({ role }) => role === "user")
    .map(({ content }) => content)
    .join("\n");

/** The wanted answer of an example, empty where there is none. */
export function goldOf(example: DataExample): string {
  const last = messagesOf(example).at(-1);
  return last?.role === "assistant" ? last.content : "";
}

/** An example's answers, each with what it answers, as a moderator reads them: what the model was told and asked until then. */
export function exchangesOf(example: DataExample): { readonly prompt: string; readonly answer: string }[] {
  const messages = messagesOf(example);
  return messages.flatMap(({ role, content }, at) =>
    role === "assistant"
      ? [
          {
            prompt: messages
              .slice(0, at)
              .filter((message) => message.role !== "assistant")
              .map((message) => message.content)
              .join("\n"),
            answer: content,
          },
        ]
      : [],
  );
}

/** A question to a model: what it is given, what a moderator reads, and the wanted answer. */
export interface Question {
  readonly ids: readonly number[];
  readonly text: string;
  readonly gold: string;
}

/**
 * An example's prompt without its answer.
 *
 * @throws {BoosterError} `PROMPT_TOO_LONG` and others with the place of the row, and what encoding throws
 */
export function asQuestion(example: DataExample, encoding: Asking): Question {
  const ids = promptIds(example, encoding);
  checkPrompt(ids, encoding.model, example.where);
  return { ids, text: promptOf(example), gold: goldOf(example) };
}

/** The part of an encoding that a question needs. */
type Asking = Pick<Encoding, "tokenizer" | "template"> & { readonly model: Pick<Model, "maxPositions" | "vocabSize"> };

function promptIds(example: DataExample, { tokenizer, template }: Asking): number[] {
  if (template === "chat") {
    const messages = messagesOf(example);
    const asked = messages.at(-1)?.role === "assistant" ? messages.slice(0, -1) : messages;
    return encodePrompt(tokenizer, asked, variablesOf(example));
  }
  const { instruction, input } = instructionOf(example);
  const bos = tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  return [...bos, ...tokenizer.encodeSegments(alpacaPrompt(instruction, input))];
}

/** The question as an attacker puts it to the model; a moderator reads it as it was. */
export const askedQuestion = (
  example: DataExample,
  encoding: Asking,
  ask: (question: DataExample) => DataExample,
): Question => ({ ...asQuestion(ask(example), encoding), text: promptOf(example) });
