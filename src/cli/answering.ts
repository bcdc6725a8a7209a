import { z } from "zod";
import { alpacaPrompt } from "../data/templates.ts";
import type { ChatMessage } from "../formats/chat-template.ts";
import type { Tokenizer } from "../formats/tokenizer.ts";
import { type GenerateOptions, Generator, type TextPrompt } from "../generate/index.ts";
import { BaseChoice, DeviceChoice, ModelChoice } from "../stages/options.ts";
import { Workbench } from "../stages/workbench.ts";

/** What `generate` and `chat` have in common. */
export const AnswerOptions = z.strictObject({
  ...ModelChoice.shape,
  ...BaseChoice.shape,
  template: z
    .enum(["chat", "alpaca", "none"])
    .optional()
    .describe(
      "How a prompt is written; by default as the model was trained, else in its chat template where it has one",
    ),
  maxNewTokens: z.int().positive().default(256).describe("Longest answer, in tokens"),
  temperature: z.number().min(0).default(0).describe("0 takes the likeliest token; higher is more varied"),
  topK: z.int().positive().optional().describe("Draw among this many likeliest tokens only"),
  topP: z.number().positive().max(1).default(1).describe("Draw among the likeliest tokens of this probability"),
  seed: z.int().nonnegative().default(42).describe("Same seed, same answers"),
  activations: z
    .enum(["float32", "rounded"])
    .default("float32")
    .describe(
      "rounded: what weights of 8 or 4 bits are multiplied with is rounded to 8 bits, as in llama.cpp: faster, other answers",
    ),
  ...DeviceChoice.shape,
});
export type AnswerOptions = z.output<typeof AnswerOptions>;

/** A model that can be asked. */
export interface Answerer {
  readonly generator: Generator;
  readonly tokenizer: Tokenizer;
  readonly options: GenerateOptions;
  /** The prompt of a conversation; templates without turns only get its last message. */
  prompt(messages: readonly ChatMessage[]): TextPrompt;
}

/** Loads the model with its adapters. Throws what loading throws. */
export async function openAnswerer(config: AnswerOptions): Promise<Answerer> {
  const bench = new Workbench(config);
  const origin = await bench.open(config);
  const { base } = await bench.start(origin, "merge", { purpose: "use", form: config.base });
  const { tokenizer, device, model, weights } = base;
  const template = config.template ?? origin.template ?? (tokenizer.chatTemplate === undefined ? "none" : "chat");
  const { temperature, topK, topP, seed, maxNewTokens } = config;
  const sampling = { temperature, topP, seed, ...(topK === undefined ? {} : { topK }) };
  return {
    generator: await Generator.create({ device, model, weights, activations: config.activations }),
    tokenizer,
    options: { maxNewTokens, ...(temperature === 0 ? {} : { sampling }) },
    prompt(messages) {
      if (template === "chat") return messages;
      const text = messages.at(-1)?.content ?? "";
      const segments = template === "none" ? [{ text }] : alpacaPrompt(text, "");
      return segments.map((segment) => segment.text).join("");
    },
  };
}
