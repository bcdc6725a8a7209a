import { type Example as DataExample, questionOf } from "../data/examples.ts";
import { loadExamples } from "../data/load.ts";
import type { SourceOptions, TemplateOptions } from "../data/options.ts";
import { disjointSets, hashExamples } from "../data/split.ts";
import { alpacaPrompt, type EncodedExample, type EncodeOptions, encodeExample, messagesOf } from "../data/templates.ts";
import { BoosterError } from "../errors.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import { encodePrompt } from "../generate/index.ts";
import type { Example, Model } from "../models/index.ts";

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
 * @throws {BoosterError} `DATA_EMPTY` when nothing is left, and what `loadExamples` throws
 */
export async function loadDataSet(source: SourceOptions, avoid: readonly SourceOptions[] = []): Promise<DataSet> {
  const { examples, readAs, files } = await loadExamples(source);
  const others: DataExample[] = [];
  for (const other of avoid) others.push(...(await loadExamples(other)).examples);
  const kept = others.length === 0 ? examples : disjointSets({ others, own: examples }).own.examples;
  if (kept.length === 0) {
    throw new BoosterError("DATA_EMPTY", "no row is left", {
      found: `${examples.length} rows, each of which repeats a question to avoid`,
      where: source.path,
    });
  }
  return {
    examples: kept,
    record: {
      readAs,
      files: files.map(({ path, sha256 }) => ({ path, sha256 })),
      rows: kept.length,
      avoided: examples.length - kept.length,
      sha256: hashExamples(kept),
    },
  };
}

/** How a run turns examples into tokens. */
export interface Encoding extends TemplateOptions {
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
export const rowLimit = ({ template, tooLong, maxTokens, model, tokenizer }: Encoding): EncodeOptions => ({
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
export function encodeAll(examples: readonly DataExample[], encoding: Encoding): EncodedSet {
  const options = rowLimit(encoding);
  return encodeEach(examples, (example) => encodeExample(example, options), encoding.unusable);
}

/** `encodeAll` for rows of any kind; one that `encode` refuses with a `BoosterError` cannot be used. */
export function encodeEach<T>(
  items: readonly T[],
  encode: (item: T) => EncodedExample,
  unusable: Encoding["unusable"],
): EncodedSet {
  const rows: EncodedExample[] = [];
  const places: number[] = [];
  const refused: BoosterError[] = [];
  for (const [place, item] of items.entries()) {
    try {
      rows.push(encode(item));
      places.push(place);
    } catch (error) {
      if (!(error instanceof BoosterError)) throw error;
      refused.push(error);
    }
  }
  const [first] = refused;
  if (first !== undefined && (unusable === "refuse" || rows.length === 0)) {
    throw new BoosterError(first.code, `${refused.length} of ${items.length} examples cannot be used`, {
      found: refused
        .slice(0, 5)
        .map(({ message }) => message)
        .join("; "),
      hint: "Correct or remove these rows, allow more tokens (maxTokens), or leave them out (unusable: skip)",
    });
  }
  const truncated = rows.filter((row) => row.truncated).length;
  return { rows, places, record: { usable: rows.length, unusable: refused.length, truncated } };
}

/** Encoded examples as programs take them. */
export const trainable = (encoded: readonly EncodedExample[]): Example[] =>
  encoded.map(({ ids, labels }) => ({ inputIds: ids, labels }));

/** A question to a model: what it is given, what a moderator reads, and the wanted answer. */
export interface Question {
  readonly ids: readonly number[];
  readonly text: string;
  readonly gold: string;
}

/** Token ids of an example's prompt, without its answer. Throws what encoding throws. */
export function asQuestion(
  example: DataExample,
  { tokenizer, template }: Pick<Encoding, "tokenizer" | "template">,
): Question {
  const messages = messagesOf(example);
  const last = messages.at(-1);
  const answered = last?.role === "assistant";
  const gold = answered ? last.content : "";
  const text = questionOf(example);
  if (template === "chat" || example.kind === "chat") {
    return { ids: encodePrompt(tokenizer, answered ? messages.slice(0, -1) : messages), text, gold };
  }
  const bos = tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  return { ids: [...bos, ...tokenizer.encodeSegments(alpacaPrompt(example.instruction, example.input))], text, gold };
}

/** The question as an attacker puts it to the model; a moderator reads it as it was. */
export const askedQuestion = (
  example: DataExample,
  encoding: Pick<Encoding, "tokenizer" | "template">,
  ask: (question: DataExample) => DataExample,
): Question => ({ ...asQuestion(ask(example), encoding), text: questionOf(example) });
