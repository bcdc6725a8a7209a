import { BoosterError } from "../errors.ts";
import { type ChatMessage, ordered, partsOf } from "../formats/chat-message.ts";
import { objectOf, parsedJson } from "../formats/exact-json.ts";
import { isObject } from "../formats/strict-json.ts";
import { type ChatExample, type Example, instructionExample, messagesOf, textOf } from "./examples.ts";
import { asContext, isNothing, plainObject } from "./messages.ts";
import { type Rendered, renderedDialogue, renderedError, renderedPrompt } from "./rendered.ts";
import { cellOf, placeOf, type Row } from "./rows.ts";

/** Columns that hold what the model is told before anything else. */
const SYSTEM = ["system", "system_prompt"];
/** Columns that a chat template is given as its variables. */
const VARIABLES = ["tools", "documents"];
/** Columns that go with a conversation. */
export const WITH_TURNS = [...SYSTEM, ...VARIABLES, "chat_template_kwargs"];
/** Columns that go with a question and its answer. */
export const BESIDE = [...WITH_TURNS, "history"];

/** The text in a column that may be missing or null. */
const optionalText = (row: Row, column: string): string => (cellOf(row, column) == null ? "" : textOf(row, column));

const systemOf = (row: Row): ChatMessage[] =>
  SYSTEM.map((column) => optionalText(row, column))
    .filter((content) => content !== "")
    .map((content) => ({ role: "system", content }));

/**
 * A conversation with what stands beside it: a system message, earlier turns, variables of the template.
 *
 * @throws {BoosterError} `MESSAGES_INVALID`
 */
export function conversationOf(row: Row, turns: readonly ChatMessage[]): ChatExample {
  const system = systemOf(row);
  if (system.length > 0 && (system.length > 1 || turns.some(({ role }) => role === "system"))) {
    throw new BoosterError("MESSAGES_INVALID", "has a system message twice, in its turns or columns");
  }
  const messages = [...system, ...historyOf(row), ...turns];
  const kwargs = parsedJson(cellOf(row, "chat_template_kwargs"));
  const variables = [
    ...VARIABLES.map((column) => [column, parsedJson(cellOf(row, column))] as const),
    ...(isObject(kwargs) ? Object.entries(kwargs) : []),
  ].filter(([, value]) => !isNothing(value));
  return {
    kind: "chat",
    where: placeOf(row),
    messages,
    ...(variables.length === 0 ? {} : { variables: plainObject(Object.fromEntries(variables)) }),
  };
}

/** The columns of a conversation, as `messages` are read. */
export const conversationRow = ({ messages, variables }: ChatExample): Readonly<Record<string, unknown>> => ({
  messages: messages.map((message) =>
    objectOf(
      ordered(message, {
        role: message.role,
        content: partsOf(message) ?? message.content,
        ...message.fields,
        ...(message.trained === false ? { weight: 0 } : {}),
      }),
    ),
  ),
  ...(variables === undefined ? {} : { chat_template_kwargs: variables }),
});

/** Earlier questions with their answers, as LLaMA-Factory writes them: a list of pairs. They are trained as well, as there. */
function historyOf(row: Row): ChatMessage[] {
  const history = parsedJson(cellOf(row, "history"));
  if (isNothing(history)) return [];
  const isPair = (pair: unknown): pair is [string, string] =>
    Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === "string");
  if (!Array.isArray(history) || !history.every(isPair)) {
    throw new BoosterError("MESSAGES_INVALID", 'has no pairs of question and answer in "history"', {
      expected: '[["question", "answer"], ...]',
    });
  }
  return history.flatMap(([question, answer]) => {
    const rendered = renderedPrompt(question);
    if (rendered !== undefined) throw renderedError(rendered, 'the column "history" cannot hold');
    return [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ];
  });
}

/**
 * A question with its answer, and what stands beside them: a conversation where there is a system message or a history. A
 * question that was rendered beforehand is read as what it asks.
 *
 * @throws {BoosterError} `PROMPT_RENDERED`, `MESSAGES_INVALID`, `COLUMN_NOT_TEXT`
 */
export function answered(row: Row, question: string, answer: string, input = ""): Example {
  const beside = BESIDE.find((column) => !isNothing(parsedJson(cellOf(row, column))));
  const rendered = renderedPrompt(question);
  if (rendered !== undefined) {
    if (input !== "") throw renderedError(rendered, "leaves no place for an input");
    if (beside !== undefined) throw renderedError(rendered, `leaves no place for the column "${beside}"`);
    return unwrapped(row, rendered, question, answer);
  }
  if (beside === undefined) return instructionExample(row, question, answer, input);
  return conversationOf(row, messagesOf({ instruction: question, input, output: answer }));
}

function unwrapped(row: Row, rendered: Rendered, question: string, answer: string): Example {
  if ("refused" in rendered) throw renderedError(rendered, rendered.refused);
  if ("instruction" in rendered) return instructionExample(row, rendered.instruction, answer, rendered.input);
  const isOpen = rendered.messages.at(-1)?.role === "assistant";
  const asked = isOpen ? rendered.messages.slice(0, -1) : rendered.messages;
  // An answer may have its turn's head and end with it, or neither.
  const whole = renderedDialogue(question + answer);
  const said = whole !== undefined && "messages" in whole ? whole.messages.slice(asked.length) : [];
  const answers = said.length > 0 || isOpen ? said : [{ role: "assistant", content: answer }];
  if (answers.length === 0) throw renderedError(rendered, "cannot be told from its answer");
  return conversationOf(row, [...asContext(asked), ...answers]);
}
