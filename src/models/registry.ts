import { BoosterError } from "../errors.ts";
import { isObject } from "../formats/strict-json.ts";
import type { Architecture, Model } from "./architecture.ts";
import { isClassifier, refuseOtherClass } from "./classes.ts";
import { gemma } from "./gemma.ts";
import { gemma2 } from "./gemma2.ts";
import { gemma3 } from "./gemma3.ts";
import { gptNeox } from "./gpt-neox.ts";
import { gpt2 } from "./gpt2.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { opt } from "./opt.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

/** Every architecture that can be computed. A new one is one file and one row. */
export const ARCHITECTURES: readonly Architecture[] = [
  llama,
  mistral,
  qwen2,
  qwen3,
  smollm3,
  olmo2,
  phi3,
  gemma,
  gemma2,
  gemma3,
  gpt2,
  gptNeox,
  opt,
];

const LANGUAGE_PART =
  "This model also sees images. Take a checkpoint of its language model alone, whose config.json is what stands here as text_config.";

/**
 * The model that a config.json describes.
 *
 * @throws {BoosterError} `UNKNOWN_ARCHITECTURE`, `MODEL_CONFIG_INVALID`.
 * @example
 * const model = createModel(openSource("SmolLM2.gguf").base.config());
 */
export function createModel(config: unknown): Model {
  const found = architectureOf(config);
  if (found === undefined) {
    throw new BoosterError("UNKNOWN_ARCHITECTURE", "this kind of model cannot be computed", {
      expected: ARCHITECTURES.map(({ name }) => name).join(", "),
      found: String(typeOf(config)),
      where: "model_type in config.json",
      ...(isObject(config) && isObject(config.text_config) ? { hint: LANGUAGE_PART } : {}),
    });
  }
  if (isClassifier(config)) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "this model sorts texts into classes, and writes none", {
      expected: "a causal language model",
      where: "architectures in config.json",
      hint: "It can be a judge: --moderator beaver-dam or sequence-classifier.",
    });
  }
  refuseOtherClass(config);
  return found.create(config);
}

const typeOf = (config: unknown): unknown => (isObject(config) ? config.model_type : undefined);

/** The row of a config.json. */
export const architectureOf = (config: unknown): Architecture | undefined =>
  ARCHITECTURES.find(({ name }) => name === typeOf(config));
