export { Engine, type EngineLimits } from "./engine.ts";
export { type Answer, type BatchOptions, type GenerateOptions, Generator } from "./generator.ts";
export type { GeneratorOptions } from "./programs.ts";
export { checkPrompt } from "./prompts.ts";
export type { Finish, Prompt, Request, RowEvent, Submission } from "./row.ts";
export type { Sampling } from "./sampling.ts";
export { encodePrompt, generateText, type Reply, streamText, type TextPrompt } from "./text.ts";
export { TextStream } from "./text-stream.ts";
