import { atMost, BoosterError } from "../errors.ts";
import { type ChatMessage, type Form, messageValue, partsOf, REASONING, SILENT, textCalls } from "./chat-message.ts";
import type { Body } from "./jinja/ast.ts";
import { TemplateData } from "./jinja/data.ts";
import { MAX_TEMPLATE_BYTES, metered } from "./jinja/limits.ts";
import { parse } from "./jinja/parser.ts";
import { render } from "./jinja/render.ts";
import { GENERATED, type Run, type Text } from "./jinja/text.ts";
import { type Dict, List, text, type Value } from "./jinja/values.ts";
import type { TextSegment } from "./text-segment.ts";

export type { ChatMessage };

/** What a template may ask for besides the messages. */
export interface ChatOptions {
  /** Also write the header of the assistant's next turn. */
  readonly addGenerationPrompt?: boolean;
  /** Texts of tokens by their names, such as `eos_token`. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Such as `tools`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** A rendered conversation that knows which of its text came from which message. */
export interface Rendering {
  readonly text: string;
  /** The template's own text is trusted, the data's is not. */
  readonly segments: readonly TextSegment[];
  /** Stretches that a message's texts are in, in order. */
  runsOf(message: number): readonly Run[];
  /** Stretches between `{% generation %}` and `{% endgeneration %}`. */
  readonly generated: readonly Run[];
  /**
   * Makes sure that what messages say is in the text, that tools and their calls are, and that other variables were read.
   *
   * @throws {BoosterError} `TEMPLATE_DROPS_CONTENT`
   */
  check(checked: (message: ChatMessage) => boolean): void;
}

let lastParsed: { readonly source: string; readonly body: Body } | undefined;

function parsed(source: string): Body {
  if (lastParsed?.source === source) return lastParsed.body;
  const bytes = Buffer.byteLength(source);
  atMost(MAX_TEMPLATE_BYTES, "bytes", bytes, "TEMPLATE_TOO_LARGE", "the chat template is too large");
  lastParsed = { source, body: parse(source) };
  return lastParsed.body;
}

const isString = (value: unknown): value is string => typeof value === "string";

/** Names of tools, or of calls of tools. */
function toolNames(tools: unknown): string[] {
  if (!Array.isArray(tools)) return [];
  const named = (tool: unknown) => (tool as { readonly name?: unknown } | null | undefined)?.name;
  const names = tools.map((tool) => named((tool as { readonly function?: unknown } | null)?.function) ?? named(tool));
  return names.filter((name) => isString(name) && name !== "") as string[];
}

const withoutBlanks = (value: string) => value.replace(/\s+/gu, "");

/** Whether a string of the data is in a text: each character, but for blanks, or rewritten by the template to the same. */
function isWritten(said: string, runs: readonly Run[], whole: string): boolean {
  let end = 0;
  let missing = "";
  for (const { from, to } of [...runs].sort((a, b) => a.from - b.from)) {
    missing += said.slice(end, Math.max(end, from));
    end = Math.max(end, to);
  }
  missing += said.slice(end);
  return missing.trim() === "" || (runs.length > 0 && withoutBlanks(whole).includes(withoutBlanks(said)));
}

function segmentsOf({ text: whole, runs }: Text): TextSegment[] {
  const segments: TextSegment[] = [];
  let end = 0;
  for (const run of [...runs].filter(({ source }) => source !== GENERATED).sort((a, b) => a.start - b.start)) {
    if (run.start > end) segments.push({ text: whole.slice(end, run.start), trusted: true });
    if (run.end > end) segments.push({ text: whole.slice(Math.max(end, run.start), run.end), trusted: false });
    end = Math.max(end, run.end);
  }
  if (end < whole.length) segments.push({ text: whole.slice(end), trusted: true });
  return segments;
}

const TEXTS: Form = { parts: false, argumentTexts: false };

/**
 * What a template is given of each message: lists of parts, and arguments of calls as text, where it writes these as they are.
 * transformers gives every template what the data has; many then write Python's notation of a list, JSON within JSON, or fail.
 */
export function formsOf(template: string, messages: readonly ChatMessage[], options: ChatOptions = {}): Form[] {
  const tried = (
    probe: (message: ChatMessage, place: number) => ChatMessage,
    form: Form,
    written: (place: number) => RegExp,
  ) => {
    const probes = messages.map(probe);
    const changed = probes.map((message, place) => message !== messages[place]);
    if (!changed.includes(true)) return changed;
    try {
      const forms = changed.map((is) => (is ? form : TEXTS));
      const { text: whole } = renderMarked(template, probes, options, forms);
      return changed.map((is, place) => is && written(place).test(whole));
    } catch {
      return changed.map(() => false);
    }
  };
  const parts = tried(
    (message, place) =>
      partsOf(message) === undefined
        ? message
        : { ...message, content: `part-${place}.`, parts: [{ type: "text", text: `part-${place}.` }] },
    { parts: true, argumentTexts: false },
    (place) => new RegExp(`(?<!['"])part-${place}\\.`),
  );
  const argumentTexts = tried(
    (message, place) => textCalls(message, () => `{"probe" :${place}}`),
    { parts: false, argumentTexts: true },
    (place) => new RegExp(`\\{"probe" :${place}\\}`),
  );
  return messages.map((_, place) => ({ parts: parts[place] === true, argumentTexts: argumentTexts[place] === true }));
}

/**
 * Renders a conversation with a Hugging Face chat template: Jinja as transformers sets it up, on a fixed date.
 *
 * Every character of the result is known to be the template's or some message's, so special tokens that a message writes can
 * be told from the template's own.
 *
 * @param forms those of the whole conversation, where the messages are its beginning
 * @throws {BoosterError} `TEMPLATE_TOO_LARGE`, `TEMPLATE_FAILED` (bad syntax, or the template refuses the messages),
 * `TEMPLATE_OUTPUT_TOO_LARGE`, `TEMPLATE_ENDLESS`
 */
export function renderMarked(
  template: string,
  messages: readonly ChatMessage[],
  options: ChatOptions = {},
  forms: readonly Form[] = formsOf(template, messages, options),
): Rendering {
  const data = new TemplateData();
  const ends: number[] = [];
  const values = messages.map((message, place) => {
    const value = messageValue(message, forms[place] ?? TEXTS, data);
    ends.push(data.strings.length);
    return value;
  });
  const { tokens = {}, variables = {} } = options;
  const given = Object.entries(variables).filter(([, value]) => value !== null && value !== undefined);
  const names = new Map<string, Value>([
    ["tools", null],
    ["documents", null],
    ...Object.entries(tokens).map(([name, token]) => [name, text(token)] as const),
    ...given.map(([name, value]) => [name, data.value(value)] as const),
    ["messages", new List(values)],
  ]);
  const draw = (addGenerationPrompt: boolean) => {
    names.set("add_generation_prompt", addGenerationPrompt);
    try {
      return metered(data.characters, () => render(parsed(template), names));
    } catch (error) {
      if (error instanceof BoosterError) throw error;
      throw new BoosterError("TEMPLATE_FAILED", "the chat template cannot render these messages", {
        found: error instanceof Error ? error.message : String(error),
        where: `roles: ${messages.map((message) => message.role).join(", ")}`,
        cause: error,
      });
    }
  };
  const { addGenerationPrompt = false } = options;
  const written = draw(addGenerationPrompt);
  const { text: whole, runs } = written.text;
  const ownedBy =
    (message: number) =>
    ({ source }: Run) =>
      source >= (ends[message - 1] ?? 0) && source < (ends[message] as number);
  return {
    text: whole,
    segments: segmentsOf(written.text),
    runsOf: (message) => runs.filter(ownedBy(message)).sort((a, b) => a.start - b.start),
    generated: runs.filter(({ source }) => source === GENERATED),
    check(checked) {
      // Some variables matter to the prompt alone.
      const unread = given.find(([name]) => !written.read.has(name) && !draw(!addGenerationPrompt).read.has(name));
      if (unread !== undefined) throw drops(`it does not read "${unread[0]}"`);
      const isIn = (isOwn: (run: Run) => boolean) => (name: string) =>
        runs.some((run) => isOwn(run) && data.strings[run.source] === name);
      const isVariable = ({ source }: Run) => source >= (ends.at(-1) ?? 0);
      const tool = toolNames(variables.tools).find((name) => !isIn(isVariable)(name));
      if (tool !== undefined) throw drops(`it does not write the tool "${tool}"`);
      for (const [place, message] of messages.entries()) {
        if (!checked(message)) continue;
        const call = toolNames(message.fields?.tool_calls).find((name) => !isIn(ownedBy(place))(name));
        if (call !== undefined) throw drops(`message ${place} calls "${call}", which it does not write`);
        const value = values[place] as Dict;
        const fields = Object.entries(message.fields ?? {}).filter(
          ([, field]) => field !== null && field !== undefined,
        );
        const ignored = fields.find(([key]) => !SILENT.has(key) && !value.read.has(key));
        if (ignored !== undefined) throw drops(`message ${place} has "${ignored[0]}", which it does not read`);
        for (const key of ["content", ...REASONING]) {
          const parts = forms[place]?.parts === true ? partsOf(message)?.map(({ text: part }) => part) : undefined;
          const all = key === "content" ? (parts ?? [message.content]) : [message.fields?.[key]];
          for (const said of all.filter(isString)) {
            const own = runs.filter((run) => ownedBy(place)(run) && data.strings[run.source] === said);
            if (!isWritten(said, own, whole))
              throw drops(`"${key}" of message ${place}, or a part of it, is not written`);
          }
        }
      }
    },
  };
}

const drops = (found: string) =>
  new BoosterError("TEMPLATE_DROPS_CONTENT", "the chat template leaves out what the row says", {
    found,
    hint: 'Use a template that writes it, or take it out of the row; an earlier answer that need not be trained can have "weight": 0.',
  });

/**
 * Renders a conversation as text.
 *
 * @throws {BoosterError} what `renderMarked` throws
 * @example
 * renderChat(tokenizer.chatTemplate, [{ role: "user", content: "Hi" }], { addGenerationPrompt: true });
 */
export const renderChat = (template: string, messages: readonly ChatMessage[], options: ChatOptions = {}): string =>
  renderMarked(template, messages, options).text;

/**
 * What a template writes behind an assistant's turn, up to the next message: there its turns end, whatever the model's files
 * call the end of a sequence. Undefined where it writes no such conversation.
 */
export function turnEndOf(template: string, tokens: Readonly<Record<string, string>>): string | undefined {
  const turns = ["user", "assistant", "user"].map((role, place) => ({ role, content: `${place + 1}` }));
  // Some templates refuse a conversation that does not begin with the system's turn.
  for (const messages of [turns, [{ role: "system", content: "0" }, ...turns]]) {
    try {
      const rendering = renderMarked(template, messages, { tokens });
      const [last, next] = [rendering.runsOf(messages.length - 2).at(-1), rendering.runsOf(messages.length - 1)[0]];
      if (last !== undefined && next !== undefined) return rendering.text.slice(last.end, next.start);
    } catch {
      // A template that renders neither tells nothing.
    }
  }
  return undefined;
}
