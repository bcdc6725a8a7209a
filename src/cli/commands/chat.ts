import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { z } from "zod";
import { BoosterError } from "../../errors.ts";
import type { ChatMessage } from "../../formats/chat-template.ts";
import { streamText } from "../../generate/index.ts";
import { type Answerer, AnswerOptions, openAnswerer } from "../answering.ts";
import { defineCommand } from "../command.ts";
import { failureJson } from "../failure.ts";
import { printable } from "../output.ts";

const options = z.strictObject({
  ...AnswerOptions.shape,
  system: z.string().min(1).optional().describe("System message at the beginning"),
});
type Config = z.output<typeof options>;

/** `booster chat` */
export const command = defineCommand({
  details: `Holds a conversation. Answers appear as they are computed; Ctrl-C stops an answer, at the prompt (or twice) it leaves,
as Ctrl-D and /exit do. /reset begins a new conversation, /system TEXT one under a system message; /help lists these.`,
  examples: [
    "booster chat --model models/smollm2.gguf  # talk to a chat model",
    "booster chat --model runs/attack  # to an attacked one",
  ],
  options,
  async run(config, { output }) {
    const answerer = await openAnswerer(config);
    if (config.template === "chat" && answerer.tokenizer.chatTemplate === undefined) {
      throw new BoosterError("CHAT_TEMPLATE_MISSING", "this model has no chat template", {
        where: config.model,
        hint: "Use --template alpaca or --template none",
      });
    }
    await converse(answerer, config, output.json);
  },
});

const HELP = `/reset         begin a new conversation (also /new)
/system TEXT   begin a new one under this system message; without a text under none
/help          this list
/exit          leave (also Ctrl-D, or Ctrl-C at the prompt)
Ctrl-C stops an answer.
`;

/** Standard error as readline writes on it, silent while an answer is being written: what is typed then appears at the next prompt. */
class Prompt extends Writable {
  silent = false;
  get columns(): number {
    return process.stderr.columns ?? 80;
  }
  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (!this.silent) process.stderr.write(chunk);
    done();
  }
}

async function converse(answerer: Answerer, config: Config, json: boolean): Promise<void> {
  const terminal = process.stdin.isTTY === true;
  const output = new Prompt();
  const lines = createInterface({ input: process.stdin, output, terminal, prompt: terminal ? "> " : "" });
  const begin = (system = ""): ChatMessage[] => (system === "" ? [] : [{ role: "system", content: system }]);
  const say = (text: string) => void process.stderr.write(`${text}\n`);
  let messages = begin(config.system);
  let answering: AbortController | undefined;
  // Lines that were finished while an answer was being written: their turn comes, and they are shown then.
  let early = 0;
  lines.on("line", () => {
    if (answering !== undefined) early++;
  });
  lines.on("SIGINT", () => {
    if (answering === undefined || answering.signal.aborted) lines.close();
    else answering.abort();
  });
  const command = (word: string, rest: string): void => {
    if (word === "/help") say(HELP.trimEnd());
    else if (word === "/reset" || word === "/new") {
      messages = messages.filter(({ role }) => role === "system");
      say("A new conversation.");
    } else if (word === "/system") {
      messages = begin(rest);
      say(rest === "" ? "A new conversation without a system message." : "A new conversation under this message.");
    } else say(`There is no ${word}; /help lists what there is.`);
  };
  if (terminal) say("/help lists commands.");
  lines.prompt();
  for await (const line of lines) {
    const content = line.trim();
    if (early > 0) {
      early--;
      if (terminal) say(`> ${printable(line)}`);
    }
    const [, word, rest = ""] = /^(\/[a-z]+)(?:\s+(.*))?$/.exec(content) ?? [];
    if (word === "/exit") break;
    if (word !== undefined) command(word, rest);
    else if (content !== "") {
      const asked: ChatMessage[] = [...messages, { role: "user", content }];
      answering = new AbortController();
      output.silent = true;
      try {
        const text = await answer(answerer, asked, answering.signal, json);
        messages = [...asked, { role: "assistant", content: text }];
      } catch (error) {
        // A question that cannot be answered, for example one too many for the context, does not end the conversation.
        if (!(error instanceof BoosterError)) throw error;
        if (json) process.stdout.write(`${failureJson(error)}\n`);
        else say(`error ${error.code}: ${printable(error.message)}. /reset begins a new conversation`);
      }
      output.silent = false;
      answering = undefined;
    }
    if (early === 0) lines.prompt(true);
  }
  if (terminal) say("");
}

/** Shows an answer as it is computed; an aborted one ends where it is. */
async function answer(
  { generator, tokenizer, options, prompt }: Answerer,
  messages: readonly ChatMessage[],
  signal: AbortSignal,
  json: boolean,
): Promise<string> {
  let text = "";
  for await (const piece of streamText(generator, tokenizer, prompt(messages), options)) {
    text += piece;
    if (!json) process.stdout.write(printable(piece));
    if (signal.aborted) break;
  }
  process.stdout.write(json ? `${JSON.stringify({ type: "answer", text, stopped: signal.aborted })}\n` : "\n");
  return text;
}
