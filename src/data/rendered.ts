import { BoosterError } from "../errors.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import { MAX_MESSAGES } from "./rows.ts";

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

function alpacaOf(text: string): Rendered | undefined {
  const head = text.startsWith("### Instruction:") ? 0 : text.indexOf("\n### Instruction:");
  if (head < 0) return undefined;
  const begin = text.indexOf(":", head) + 1;
  const last = text.lastIndexOf("\n### Response:");
  const answer = last > begin && text.slice(last + 14).trim() === "" ? last : text.indexOf("\n### Response:", begin);
  if (answer < begin) return undefined;
  const name = "Alpaca's prompt";
  const output = text.slice(answer + 14).replace(/^[ \t]*\n/, "");
  if (!PREAMBLES.includes(text.slice(0, head).trim())) {
    return output.trim() === "" ? { name, refused: "begins with words of its own" } : undefined;
  }
  const asked = text.slice(begin, answer);
  const more = asked.indexOf("\n### Input:");
  const [instruction, input] = more < 0 ? [asked, ""] : [asked.slice(0, more), asked.slice(more + 11)];
  return { name, instruction: ownLines(instruction), input: ownLines(input), output };
}

/** How dialogues are written as one text: the head of each turn, which says who speaks, and what ends a turn. */
const DIALOGUES: readonly { readonly name: string; readonly head: RegExp; readonly ends: readonly string[] }[] = [
  { name: "ChatML", head: /<\|im_start\|>(\w{1,20})\n/, ends: ["<|im_end|>"] },
  { name: "Llama 3's", head: /<\|start_header_id\|>(\w{1,20})<\|end_header_id\|>\n\n/, ends: ["<|eot_id|>"] },
  { name: "Gemma's", head: /<start_of_turn>(\w{1,20})\n/, ends: ["<end_of_turn>"] },
  { name: "Zephyr's or Phi's", head: /<\|(system|user|assistant)\|>\n/, ends: ["</s>", "<|end|>", "<|endoftext|>"] },
  { name: "Human and Assistant", head: /\n\n(Human|Assistant):/, ends: [] },
];
const ROLES: ReadonlyMap<string | undefined, string> = new Map([
  ["Human", "user"],
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
    return { name, messages };
  }
  return undefined;
}

/** Prompts that are told and not read: how they begin, and how they end. */
const OTHERS: readonly (readonly [string, string])[] = [
  ["[INST]", "[/INST]"],
  ["<s>[INST]", "[/INST]"],
  ["<s> [INST]", "[/INST]"],
  ["### Human:", "### Assistant:"],
  ["### User:", "### Assistant:"],
  ["USER:", "ASSISTANT:"],
];

/** The questions and answers of a text that was rendered beforehand; undefined where it is plain. */
export const renderedDialogue = (text: string): Rendered | undefined => alpacaOf(text) ?? dialogueOf(text);

/** What a prompt asks that was rendered beforehand, up to where its answer begins; undefined where it is plain. */
export function renderedPrompt(text: string): Rendered | undefined {
  const trimmed = text.trim();
  const other = OTHERS.find(([begin, end]) => trimmed.startsWith(begin) && trimmed.endsWith(end));
  if (other !== undefined) return { name: `${other[0]} ... ${other[1]}`, refused: "is not known here" };
  const found = renderedDialogue(text);
  if (found === undefined || "refused" in found) return found;
  const last = "messages" in found ? found.messages.at(-1) : { role: "assistant", content: found.output };
  if (last?.role === "assistant" && last.content.trim() !== "") return { name: found.name, refused: "holds an answer" };
  return found;
}

/** Of a row with a prompt that stands in a template already. */
export const renderedError = ({ name }: Rendered, why: string): BoosterError =>
  new BoosterError("PROMPT_RENDERED", `has a prompt that stands in a template already (${name}), which ${why}`, {
    hint: "Give what was asked alone, or the turns as messages: a template is written around them here.",
  });
