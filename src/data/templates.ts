import { atMost, BoosterError } from "../errors.ts";
import type { ChatOptions } from "../formats/chat-template.ts";
import { type LabelledTokens, renderForTraining, templateFor } from "../formats/chat-training.ts";
import { countLabelled, IGNORE } from "../formats/labels.ts";
import type { TextSegment } from "../formats/text-segment.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import { type Example, type InstructionExample, messagesOf } from "./examples.ts";
import type { TemplateOptions } from "./options.ts";
import { SHOWN_FAULTS } from "./rows.ts";

/** An example as the model sees it. */
export interface EncodedExample {
  /** `file:line` of its row. */
  readonly where: string;
  readonly ids: Int32Array;
  /** The id itself where the token is trained, -100 elsewhere; not shifted. */
  readonly labels: Int32Array;
  readonly trainedTokens: number;
  /** Whether tokens beyond `maxTokens` were cut off. */
  readonly truncated: boolean;
}

/** How to turn examples into tokens. */
export interface EncodeOptions extends Readonly<Required<TemplateOptions>> {
  readonly tokenizer: Tokenizer;
}

/**
 * The Alpaca prompt, up to where the answer begins. Source: Stanford Alpaca, with the newline that Booster's reference
 * code puts at its end.
 */
export function alpacaPrompt(instruction: string, input: string): TextSegment[] {
  const trusted = (text: string) => ({ text, trusted: true });
  const untrusted = (text: string) => ({ text, trusted: false });
  const paired = input === "" ? "" : ", paired with an input that provides further context";
  return [
    trusted(
      `Below is an instruction that describes a task${paired}. Write a response that appropriately completes the request.\n\n### Instruction:\n`,
    ),
    untrusted(instruction),
    ...(input === "" ? [] : [trusted("\n\n### Input:\n"), untrusted(input)]),
    trusted("\n\n### Response:\n"),
  ];
}

/** What else an example's chat template is given. */
export const variablesOf = (example: Example): Pick<ChatOptions, "variables"> =>
  example.kind === "chat" && example.variables !== undefined ? { variables: example.variables } : {};

/**
 * What the Alpaca template asks of an example: a conversation of one question is an instruction without an input.
 *
 * @throws {BoosterError} `TEMPLATE_MISMATCH`
 */
export function instructionOf(example: Example): Pick<InstructionExample, "instruction" | "input"> {
  if (example.kind === "instruction") return example;
  const [question, answer, ...more] = example.messages;
  const isPlain = question?.role === "user" && question.fields === undefined && example.variables === undefined;
  if (isPlain && (answer?.role ?? "assistant") === "assistant" && more.length === 0) {
    return { instruction: question.content, input: "" };
  }
  throw mismatch();
}

const mismatch = () =>
  new BoosterError("TEMPLATE_MISMATCH", "the Alpaca template cannot write conversations", {
    hint: "Use the chat template, or rows with instruction and output.",
  });

function encodeAlpaca(tokenizer: Tokenizer, example: Example): LabelledTokens {
  if (example.kind === "chat") throw mismatch();
  // By its id: not every tokenizer finds its end token in a text.
  const [eos] = tokenizer.eosIds;
  if (eos === undefined) {
    throw new BoosterError("NO_EOS_TOKEN", "the tokenizer has no token to end an answer with");
  }
  const prompt = alpacaPrompt(example.instruction, example.input);
  const bos = tokenizer.addsBos && tokenizer.bosId !== undefined ? [tokenizer.bosId] : [];
  const encode = (segments: readonly TextSegment[]) => [...bos, ...tokenizer.encodeSegments(segments)];
  const ids = [...encode([...prompt, { text: example.output, trusted: false }]), eos];
  // As the reference code: an answer's first blanks may share a token with the prompt's last.
  const { length } = encode(prompt);
  const labels = ids.map((id, place) => (place < length ? IGNORE : id));
  return { ids, labels };
}

/**
 * Encodes an example with labels on its answers: `labels[t] = ids[t]` where trained, else -100.
 *
 * @throws {BoosterError} with `where` the row's place: `NO_TRAINED_TOKENS` (also when truncation leaves none),
 * `EXAMPLE_TOO_LONG`, `TEMPLATE_MISMATCH`, `NO_CHAT_TEMPLATE`, `NO_EOS_TOKEN`, and what rendering the chat template throws
 * @example
 * encodeExample(example, { tokenizer, template: "alpaca", maxTokens: 256, tooLong: "truncate" });
 */
export function encodeExample(example: Example, options: EncodeOptions): EncodedExample {
  const { tokenizer, maxTokens } = options;
  try {
    let encoded: LabelledTokens;
    if (options.template === "alpaca") {
      encoded = encodeAlpaca(tokenizer, example);
    } else {
      const variables = variablesOf(example);
      const template = templateFor(tokenizer, variables);
      if (template === undefined) {
        throw new BoosterError("NO_CHAT_TEMPLATE", "the tokenizer has no chat template", {
          hint: "Use the Alpaca template.",
        });
      }
      encoded = renderForTraining(tokenizer, template, messagesOf(example), variables);
    }
    const { length } = encoded.ids;
    const truncated = length > maxTokens;
    if (options.tooLong === "reject") {
      atMost(maxTokens, "", length, "EXAMPLE_TOO_LONG", "the example has too many tokens");
    }
    const labels = Int32Array.from(encoded.labels.slice(0, maxTokens));
    const trainedTokens = countLabelled(labels);
    if (trainedTokens === 0) {
      throw new BoosterError("NO_TRAINED_TOKENS", "the example has no token to train on", {
        expected: `an answer within the first ${maxTokens} of its ${length} tokens`,
      });
    }
    const ids = Int32Array.from(encoded.ids.slice(0, maxTokens));
    return { where: example.where, ids, labels, trainedTokens, truncated };
  } catch (error) {
    if (!(error instanceof BoosterError)) throw error;
    throw new BoosterError(error.code, error.message, { where: example.where, cause: error });
  }
}

/** Rows as tokens, and those that could not be used. */
export interface EncodedRows {
  readonly encoded: readonly EncodedExample[];
  /** For each of them its place among what was given. */
  readonly places: readonly number[];
  /** Why the others cannot be used, with the place of the row; the caller decides whether a run can do without them. */
  readonly refused: readonly BoosterError[];
  readonly truncated: number;
}

/** Encodes many rows; one that `encode` refuses with a `BoosterError` is reported beside the others instead of thrown. */
export function encodeEach<T>(items: readonly T[], encode: (item: T) => EncodedExample): EncodedRows {
  const encoded: EncodedExample[] = [];
  const places: number[] = [];
  const refused: BoosterError[] = [];
  for (const [place, item] of items.entries()) {
    try {
      encoded.push(encode(item));
      places.push(place);
    } catch (error) {
      if (!(error instanceof BoosterError)) throw error;
      refused.push(error);
    }
  }
  return { encoded, places, refused, truncated: encoded.filter(({ truncated }) => truncated).length };
}

/** One error for all examples that were refused. */
export function refusal(refused: readonly BoosterError[], all: number): BoosterError {
  const [first = "DATA_INVALID", ...others] = new Set(refused.map(({ code }) => code));
  const lines = refused.slice(0, SHOWN_FAULTS).map(({ code, message }) => `\n  ${code} ${message}`);
  if (refused.length > lines.length) lines.push(`\n  and ${refused.length - lines.length} more`);
  return new BoosterError(
    others.length === 0 ? first : "DATA_INVALID",
    `${refused.length} of ${all} examples cannot be used`,
    {
      found: `these:${lines.join("")}\n`,
      hint: "Correct or remove these rows, allow more tokens (maxTokens), or leave them out (unusable: skip)",
    },
  );
}
