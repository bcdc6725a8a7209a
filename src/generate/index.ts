export { type Answer, type BatchOptions, type GenerateOptions, Generator } from "./generator.ts";
export type { GeneratorOptions } from "./programs.ts";
export { checkPrompt, type Prompt } from "./prompts.ts";
export type { Sampling } from "./sampling.ts";
export { encodePrompt, generateText, type Reply, streamText, type TextPrompt } from "./text.ts";
