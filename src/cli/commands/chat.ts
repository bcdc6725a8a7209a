import { createInterface } from "node:readline";
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

/** `booster chat` */
export const chat = defineCommand({
  details: `Holds a conversation. Answers appear as they are computed; Ctrl-C stops an answer, at the prompt (or twice) it leaves,
as Ctrl-D does. /new begins a new conversation.`,
  examples: [
    ["booster chat --model models/smollm2.gguf", "talk to a chat model"],
    ["booster chat --model models/smollm2.gguf --adapters runs/hard/adapter,runs/attack/adapter", "to an attacked one"],
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
    const system = config.system === undefined ? [] : [{ role: "system", content: config.system }];
    await converse(answerer, system, output.json);
  },
});

async function converse(answerer: Answerer, system: readonly ChatMessage[], json: boolean): Promise<void> {
  const terminal = process.stdin.isTTY === true;
  const lines = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal,
    prompt: terminal ? "> " : "",
  });
  let messages: ChatMessage[] = [...system];
  let answering: AbortController | undefined;
  lines.on("SIGINT", () => {
    if (answering === undefined || answering.signal.aborted) lines.close();
    else answering.abort();
  });
  lines.prompt();
  for await (const line of lines) {
    const content = line.trim();
    if (content === "/new") messages = [...system];
    else if (content !== "") {
      const asked: ChatMessage[] = [...messages, { role: "user", content }];
      answering = new AbortController();
      try {
        const text = await answer(answerer, asked, answering.signal, json);
        messages = [...asked, { role: "assistant", content: text }];
      } catch (error) {
        // A question that cannot be answered, for example one too many for the context, does not end the conversation.
        if (!(error instanceof BoosterError)) throw error;
        if (json) process.stdout.write(`${failureJson(error)}\n`);
        else process.stderr.write(`error ${error.code}: ${printable(error.message)}. /new begins a new conversation\n`);
      }
      answering = undefined;
    }
    lines.prompt();
  }
  if (terminal) process.stderr.write("\n");
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
