import { BoosterError } from "../errors.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import { exactJson, parsedJson } from "../formats/exact-json.ts";
import { isObject } from "../formats/strict-json.ts";
import { answered, conversationOf } from "./answered.ts";
import { type Example, instructionExample, textOf } from "./examples.ts";
import { asContext, isNothing, turnsOf } from "./messages.ts";
import { renderedDialogue, renderedError, renderedPrompt } from "./rendered.ts";
import { cellOf, flagOf, type Row } from "./rows.ts";

/** Whether a value is a text, and no turns that a format with texts alone holds as JSON. */
const isText = (value: unknown): value is string =>
  typeof value === "string" && !(/^\s*[[{]/.test(value) && areTurns(parsedJson(value)));

const areTurns = (value: unknown): boolean =>
  [value].flat().every((turn) => isObject(turn) && ("role" in turn || "from" in turn));

/** What a column holds. @throws {BoosterError} `COLUMN_MISSING`, `COLUMN_NOT_TEXT` where it is neither */
export function textOrTurns(row: Row, column: string): unknown {
  const value = cellOf(row, column);
  return typeof value === "object" && value !== null ? value : textOf(row, column);
}

/** Messages of which only what `length` of them do not lead up to is trained. */
const trainedFrom = (turns: readonly ChatMessage[], length: number): ChatMessage[] => [
  ...asContext(turns.slice(0, length)),
  ...turns.slice(length),
];

const sameTurn = (one: ChatMessage, other: ChatMessage | undefined) => exactJson(one) === exactJson(other);

/** How many turns two conversations begin with alike. */
function commonTurns(one: readonly ChatMessage[], other: readonly ChatMessage[]): number {
  const differs = one.findIndex((turn, at) => !sameTurn(turn, other[at]));
  return differs < 0 ? one.length - 1 : differs;
}

/** A prompt and what follows it, texts or turns: what follows is trained. TRL's form. */
export function prompted(row: Row, prompt: unknown, column: string): Example {
  const answer = textOrTurns(row, column);
  if (isText(prompt) && isText(answer)) return answered(row, prompt, answer);
  const asked = isText(prompt) ? [{ role: "user", content: prompt }] : turnsOf(prompt, "prompt");
  const given = isText(answer) ? [{ role: "assistant", content: answer }] : turnsOf(answer, column);
  if (asked.at(-1)?.role === "assistant" && given[0]?.role === "assistant") {
    throw new BoosterError("MESSAGES_INVALID", "has a prompt that ends within the answer", {
      hint: "Put the beginning of the answer into it.",
    });
  }
  return conversationOf(row, trainedFrom([...asked, ...given], asked.length));
}

function question(row: Row): unknown {
  const input = cellOf(row, "input");
  const asked = ["prompt", "conversations", "messages", "instruction", "question"].map((column) => cellOf(row, column));
  const found = asked.find((value) => value != null);
  if (isNothing(input)) return found;
  if (isText(found) && isText(input)) {
    const rendered = renderedPrompt(found);
    if (rendered !== undefined) throw renderedError(rendered, "leaves no place for an input");
    return `${found}\n\n${input}`;
  }
  throw new BoosterError("COLUMN_UNREAD", 'has a column "input", which is read below a prompt that is a text alone');
}

/**
 * Of two answers the chosen one; as harmful data the rejected one. The prompt stands beside them, or both begin with it.
 *
 * @throws {BoosterError} `MESSAGES_INVALID`, `PROMPT_RENDERED`, and others of texts
 */
export function preference(row: Row, harmful: boolean): Example {
  const [column, other] = harmful ? (["rejected", "chosen"] as const) : (["chosen", "rejected"] as const);
  const prompt = question(row);
  const taken = textOrTurns(row, column);
  if (isText(taken)) {
    if (prompt !== undefined) return prompted(row, prompt, column);
    const dialogue = renderedDialogue(taken);
    if (dialogue === undefined || !("messages" in dialogue))
      return instructionExample(row, textOf(row, "prompt"), taken);
    if (dialogue.messages.at(-1)?.role !== "assistant") throw renderedError(dialogue, "ends without an answer");
    return conversationOf(row, trainedFrom(dialogue.messages, dialogue.messages.length - 1));
  }
  const turns = turnsOf(taken, column);
  if (turns[0]?.role === "assistant" && prompt !== undefined) return prompted(row, prompt, column);
  // The conversation as a whole, whose beginning the prompt repeats.
  const asked =
    prompt === undefined ? [] : isText(prompt) ? [prompt] : turnsOf(prompt, "prompt").map(({ content }) => content);
  if (!asked.every((content) => turns.some((turn) => turn.content === content))) {
    throw new BoosterError("MESSAGES_INVALID", `has a prompt that "${column}" does not begin with`);
  }
  return conversationOf(row, trainedFrom(turns, commonTurns(turns, turnsOf(cellOf(row, other), other))));
}

/** OpenAI's preferences, in the columns of others. @throws {BoosterError} `MESSAGES_INVALID`, `COLUMN_UNREAD`, and as `preference` */
export function openAiPreference(row: Row, harmful: boolean): Example {
  const input = parsedJson(cellOf(row, "input"));
  if (!isObject(input)) {
    throw new BoosterError("MESSAGES_INVALID", 'has no conversation in "input"', { expected: '{"messages": [...]}' });
  }
  const { messages, tools, parallel_tool_calls: _, ...others } = input;
  const [unread] = Object.keys(others);
  if (unread !== undefined) throw new BoosterError("COLUMN_UNREAD", `has a key "input.${unread}", which is not read`);
  const [chosen, rejected] = [cellOf(row, "preferred_output"), cellOf(row, "non_preferred_output")];
  return preference({ ...row, values: { messages, tools, chosen, rejected } }, harmful);
}

/** An answer with a label: good ones; as harmful data the others. TRL's unpaired preferences. */
export function labelled(row: Row, harmful: boolean): Example | undefined {
  if (needed(row, "label") !== !harmful) return undefined;
  return prompted(row, textOrTurns(row, "prompt"), "completion");
}

/** A yes or no that a row must have. @throws {BoosterError} `COLUMN_MISSING`, `FLAG_INVALID` */
function needed(row: Row, column: string): boolean {
  const flag = flagOf(row, column);
  if (flag === undefined) throw new BoosterError("COLUMN_MISSING", `lacks the column "${column}"`);
  return flag;
}

/**
 * PKU-SafeRLHF (Dai et al., 2023, arXiv 2310.12773): of two answers a safe one, the better or safer of two; none where neither
 * is. As harmful data an unsafe one.
 */
export function safeRlhf(row: Row, harmful: boolean): Example | undefined {
  const fitting = [0, 1].filter((answer) => needed(row, `is_response_${answer}_safe`) === !harmful);
  const named = ["better_response_id", "safer_response_id"].find((column) => !isNothing(cellOf(row, column)));
  const first = named === undefined ? 0 : Number(flagOf(row, named));
  const taken = fitting.includes(first) ? first : fitting[0];
  return taken === undefined ? undefined : answered(row, textOf(row, "prompt"), textOf(row, `response_${taken}`));
}
