import { BoosterError } from "../errors.ts";
import { type ChatMessage, type ChatOptions, formsOf, type Rendering, renderMarked } from "./chat-template.ts";
import { IGNORE } from "./labels.ts";
import type { TextSegment } from "./text-segment.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** Token ids of an example and, position by position, the same id where it is trained, else `IGNORE`. */
export interface LabelledTokens {
  readonly ids: number[];
  readonly labels: number[];
}

/** The template for a conversation with these variables; undefined where the tokenizer came without one. */
export const templateFor = (
  { chatTemplate, toolTemplate }: Tokenizer,
  { variables }: Pick<ChatOptions, "variables">,
): string | undefined => (variables?.tools == null ? chatTemplate : (toolTemplate ?? chatTemplate));

/**
 * Ids of a conversation as the model sees it; special tokens that a message writes are encoded as plain text.
 *
 * @param needed whose text must be there
 * @throws {BoosterError} `TEMPLATE_DROPS_CONTENT` where the template leaves out what a message other than an answer says (of
 * earlier answers, templates drop the reasoning), and what rendering and encoding throw
 */
export function encodeChat(
  tokenizer: Tokenizer,
  template: string,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
  needed: (message: ChatMessage) => boolean = ({ role }) => role !== "assistant",
): number[] {
  const rendering = renderMarked(template, messages, { tokens: tokenizer.named, ...options });
  rendering.check(needed);
  return tokenizer.encodeSegments(rendering.segments);
}

/** Characters that are trained, half open. */
interface Span {
  readonly start: number;
  readonly end: number;
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}

type Draw = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

/** The prompt for an answer that comes first; undefined from a template that needs a message. */
function promptOfNothing(draw: Draw): string | undefined {
  try {
    return draw([], true);
  } catch (error) {
    if (error instanceof BoosterError && error.code === "TEMPLATE_FAILED") return undefined;
    throw error;
  }
}

/**
 * The characters of an assistant's turn: from where the prompt for it ends to where the shorter conversation ends.
 *
 * A template may write a prompt that its own turns do not begin with (an open thinking tag), or earlier turns other than last
 * ones: then the turn begins where the two part, at the latest with its own text, and ends with it.
 */
function turnSpan(whole: Rendering, messages: readonly ChatMessage[], turn: number, draw: Draw): Span {
  const runs = whole.runsOf(turn);
  const [first, last] = [runs[0]?.start, runs.at(-1)?.end];
  const earlier = messages.slice(0, turn);
  const prompt = earlier.length === 0 ? promptOfNothing(draw) : draw(earlier, true);
  let start = prompt?.length ?? first ?? whole.text.length;
  if (prompt !== undefined && !whole.text.startsWith(prompt)) {
    const common = commonLength(prompt, whole.text);
    const before = earlier.length === 0 ? undefined : draw(earlier, false);
    const parted = before !== undefined && before.length > 0 && common >= before.length;
    start = Math.min(parted ? common : whole.text.length, first ?? whole.text.length);
  }
  if (turn === messages.length - 1) return { start, end: whole.text.length };
  const after = draw(messages.slice(0, turn + 1), false);
  const common = commonLength(after, whole.text);
  const next = whole.runsOf(turn + 1)[0]?.start ?? whole.text.length;
  return { start, end: Math.min(Math.max(common, last ?? start), next) };
}

/** The part of segments between two places. */
function cutSegments(segments: readonly TextSegment[], start: number, end: number): TextSegment[] {
  let at = 0;
  return segments.flatMap((segment) => {
    const text = segment.text.slice(Math.max(0, start - at), Math.max(0, end - at));
    at += segment.text.length;
    return text === "" ? [] : [{ ...segment, text }];
  });
}

/**
 * Token ids and labels of a conversation: the assistant's turns are trained, with the tokens that end them; but for those
 * whose message says otherwise.
 *
 * Where the template marks what the model generates, these marks decide. Else the mask comes from rendering prefixes: for each
 * assistant turn i, `labels = ids` from the end of `render(messages[0..i), generation prompt)` to the end of
 * `render(messages[0..i])`. A token that holds any character of an answer is trained, as transformers' mask has it.
 *
 * @throws {BoosterError} `NO_TRAINED_TOKENS`; `TEMPLATE_DROPS_CONTENT` where the template leaves out what a message says; and
 * what rendering and encoding throw
 */
export function renderForTraining(
  tokenizer: Tokenizer,
  template: string,
  messages: readonly ChatMessage[],
  options: Omit<ChatOptions, "addGenerationPrompt"> = {},
): LabelledTokens {
  const all = { tokens: tokenizer.named, ...options };
  const isAnswer = ({ role }: ChatMessage) => role === "assistant";
  const isTrained = (message: ChatMessage) => isAnswer(message) && message.trained !== false;
  const forms = formsOf(template, messages, all);
  const whole = renderMarked(template, messages, all, forms);
  whole.check((message) => isTrained(message) || !isAnswer(message));
  const { ids, stops } = tokenizer.encodeWithStops(whole.segments);
  const labels = new Array<number>(ids.length).fill(IGNORE);

  const draw = (some: readonly ChatMessage[], addGenerationPrompt: boolean) =>
    renderMarked(template, some, { ...all, addGenerationPrompt }, forms).text;
  const untrained = messages.flatMap((message, turn) =>
    isAnswer(message) && !isTrained(message) ? whole.runsOf(turn) : [],
  );
  const marked = whole.generated.filter(
    ({ start, end }) => !untrained.some((run) => run.start < end && start < run.end),
  );
  const spans: readonly Span[] =
    whole.generated.length > 0
      ? marked
      : messages.flatMap((message, turn) => (isTrained(message) ? [turnSpan(whole, messages, turn, draw)] : []));

  /** How many tokens are before a character, and whether one stands on both sides of it. */
  const tokensBefore = (place: number): { count: number; cut: boolean } => {
    if (place >= whole.text.length) return { count: ids.length, cut: false };
    const around = stops.find(({ start, end }) => start < place && place < end);
    if (around !== undefined) return { count: around.before, cut: true };
    // What is before a token that stands alone is as it was.
    const { start, before } = stops.findLast(({ end }) => end <= place) ?? { start: 0, before: 0 };
    const own = tokenizer.encodeSegments(cutSegments(whole.segments, start, place));
    const differs = own.findIndex((id, at) => ids[before + at] !== id);
    return { count: before + (differs < 0 ? own.length : differs), cut: differs >= 0 };
  };
  for (const { start, end } of spans) {
    const last = tokensBefore(end);
    const until = last.count + (last.cut ? 1 : 0);
    for (let place = tokensBefore(start).count; place < until; place++) labels[place] = ids[place] ?? IGNORE;
  }
  if (labels.every((label) => label === IGNORE)) {
    throw new BoosterError("NO_TRAINED_TOKENS", "the conversation has no token to train on", {
      expected: "an assistant message",
      found: `roles: ${messages.map((message) => message.role).join(", ")}`,
    });
  }
  return { ids, labels };
}
