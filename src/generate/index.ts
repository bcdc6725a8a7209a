export { Engine, type EngineLimits, type EngineLoad } from "./engine.ts";
export { type Answer, type BatchOptions, type GenerateOptions, Generator } from "./generator.ts";
export type { GeneratorOptions } from "./programs.ts";
export { checkPrompt } from "./prompts.ts";
export type { Finish, Prompt, Request, RowEvent, Submission } from "./row.ts";
export type { Adjust, Chosen, Sampling } from "./sampling.ts";
export { AdapterPool, SLOTS, type SlotAdapter } from "./slots.ts";
export { encodePrompt, generateText, type Reply, streamText, type TextPrompt } from "./text.ts";
export { TextStream } from "./text-stream.ts";
