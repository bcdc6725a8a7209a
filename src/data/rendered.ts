import { BoosterError } from "../errors.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import { MAX_MESSAGES } from "./rows.ts";
import { unreadHead } from "./unread-heads.ts";

/** What a text asks, and may answer, that some template was written around beforehand. */
export type Rendered = { readonly name: string } & (
  | { readonly instruction: string; readonly input: string; readonly output: string }
  | { readonly messages: readonly ChatMessage[] }
  /** Why it is not read. */
  | { readonly refused: string }
);

const PREAMBLES = [
  "",
  "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
  "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.",
];

/** What stands under a heading, without the line breaks that the template puts around it. */
const ownLines = (text: string): string => text.replace(/^[ \t]*\n/, "").replace(/\n$/, "");

/** Where headings of that name begin and end: with a colon, or alone in their line. */
const headings = (text: string, name: string, colon: boolean): (readonly [number, number])[] =>
  [...text.matchAll(new RegExp(`(?:^|\\n)### ${name}${colon ? ":" : "[ \\t]*(?=\\n|$)"}`, "g"))].map(
    ({ 0: { length }, index }) => [index, index + length] as const,
  );

function alpacaOf(text: string, colon: boolean): Rendered | undefined {
  const [head] = headings(text, "Instruction", colon);
  if (head === undefined) return undefined;
  const answers = headings(text, "Response", colon).filter(([at]) => at > head[0]);
  const last = answers.at(-1);
  const answer = last !== undefined && text.slice(last[1]).trim() === "" ? last : answers[0];
  if (answer === undefined) return undefined;
  const name = "Alpaca's prompt";
  const output = text.slice(answer[1]).replace(/^[ \t]*\n/, "");
  if (!PREAMBLES.includes(text.slice(0, head[0]).trim())) {
    return output.trim() === "" ? { name, refused: "begins with words of its own" } : undefined;
  }
  const asked = text.slice(head[1], answer[0]);
  const [more] = headings(asked, "Input", colon);
  const [instruction, input] = more === undefined ? [asked, ""] : [asked.slice(0, more[0]), asked.slice(more[1])];
  return { name, instruction: ownLines(instruction), input: ownLines(input), output };
}

/** How dialogues are written as one text: the head of each turn, which says who speaks, and what ends a turn. */
const DIALOGUES: readonly { readonly name: string; readonly head: RegExp; readonly ends: readonly string[] }[] = [
  { name: "ChatML or Phi-4's", head: /<\|im_start\|>(\w{1,20})(?:\n|<\|im_sep\|>)/, ends: ["<|im_end|>"] },
  { name: "Llama 3's", head: /<\|start_header_id\|>(\w{1,20})<\|end_header_id\|>\n\n/, ends: ["<|eot_id|>"] },
  { name: "Llama 4's", head: /<\|header_start\|>(\w{1,20})<\|header_end\|>\n\n/, ends: ["<|eot|>"] },
  { name: "Gemma's", head: /<start_of_turn>(\w{1,20})\n/, ends: ["<end_of_turn>"] },
  { name: "Zephyr's or Phi's", head: /<\|(system|user|assistant)\|>\n/, ends: ["</s>", "<|end|>", "<|endoftext|>"] },
  { name: "Human and Assistant", head: /(?:^|\n\n)(Human|Assistant):/, ends: [] },
  { name: "User and Assistant", head: /(?:^|\n\n)(System|User|Assistant):/, ends: [] },
  { name: "Guanaco's", head: /### (System|Human|User|Assistant):/, ends: [] },
];
const ROLES: ReadonlyMap<string | undefined, string> = new Map([
  ["Human", "user"],
  ["User", "user"],
  ["System", "system"],
  ["Assistant", "assistant"],
  ["model", "assistant"],
  ...["system", "user", "assistant", "tool"].map((role) => [role, role] as const),
]);
/** Tokens that a sequence may begin with. */
const BEGINS = ["", "<s>", "<bos>", "<|begin_of_text|>", "<|endoftext|>"];

function dialogueOf(text: string): Rendered | undefined {
  for (const { name, head, ends } of DIALOGUES) {
    const first = head.exec(text);
    if (first === null || !BEGINS.includes(text.slice(0, first.index).trim())) continue;
    const [, ...pieces] = text.split(head);
    const messages: ChatMessage[] = [];
    if (pieces.length > 2 * MAX_MESSAGES) return { name, refused: `has more than ${MAX_MESSAGES} turns` };
    for (let at = 0; at < pieces.length; at += 2) {
      const role = ROLES.get(pieces[at]);
      const written = pieces[at + 1] ?? "";
      const found = ends.find((end) => written.includes(end));
      const [content = "", ...behind] = found === undefined ? [written] : written.split(found);
      if (role === undefined || behind.join("").trim() !== "")
        return { name, refused: "has turns that cannot be told apart" };
      // Marks of ends stand right behind a text; a head without one behind a line break; where there are none, among blanks.
      const isOpen = found === undefined && (role !== "assistant" || at + 2 < pieces.length);
      const own = isOpen ? content.replace(/\n$/, "") : content;
      messages.push({ role, content: ends.length === 0 ? content.trim() : own });
    }
    // Words are heads where somebody answers, or blank lines stand before the first.
    if (ends.length === 0 && !text.startsWith("\n\n") && !messages.some(({ role }) => role === "assistant")) continue;
    return { name, messages };
  }
  return undefined;
}

/** The questions and answers of a text that was rendered beforehand; undefined where it is plain. */
export const renderedDialogue = (text: string): Rendered | undefined =>
  alpacaOf(text, true) ?? alpacaOf(text, false) ?? dialogueOf(text);

/** What a prompt asks that was rendered beforehand, up to where its answer begins; undefined where it is plain. */
export function renderedPrompt(text: string): Rendered | undefined {
  const found = renderedDialogue(text);
  if (found === undefined) {
    const head = unreadHead(text);
    return head === undefined ? undefined : { name: head, refused: "is not known here" };
  }
  if ("refused" in found) return found;
  const last = "messages" in found ? found.messages.at(-1) : { role: "assistant", content: found.output };
  if (last?.role !== "assistant" || last.content.trim() === "") return found;
  // Somebody's dialogue in words, such as one to sum up.
  if (/^(?:System|Human|User):/.test(text)) return undefined;
  return { name: found.name, refused: "holds an answer" };
}

/** Of a row with a prompt that stands in a template already. */
export const renderedError = ({ name }: Rendered, why: string): BoosterError =>
  new BoosterError("PROMPT_RENDERED", `has a prompt that stands in a template already (${name}), which ${why}`, {
    hint: "Give what was asked alone, or the turns as messages: a template is written around them here.",
  });
