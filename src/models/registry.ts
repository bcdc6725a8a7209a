import { BoosterError } from "../errors.ts";
import type { Architecture, Model } from "./architecture.ts";
import { isClassifier } from "./classes.ts";
import { llama } from "./llama.ts";
import { mistral } from "./mistral.ts";
import { olmo2 } from "./olmo2.ts";
import { phi3 } from "./phi3.ts";
import { qwen2 } from "./qwen2.ts";
import { qwen3 } from "./qwen3.ts";
import { smollm3 } from "./smollm3.ts";

/** Every architecture that can be computed. A new one is one file and one row. */
export const ARCHITECTURES: readonly Architecture[] = [llama, mistral, qwen2, qwen3, smollm3, olmo2, phi3];

/**
 * The model that a config.json describes.
 *
 * @throws {BoosterError} `UNKNOWN_ARCHITECTURE`, `MODEL_CONFIG_INVALID`.
 * @example
 * const model = createModel(openSource("SmolLM2.gguf").base.config());
 */
export function createModel(config: unknown): Model {
  const type = typeof config === "object" && config !== null && "model_type" in config ? config.model_type : undefined;
  const found = ARCHITECTURES.find(({ name }) => name === type);
  if (found === undefined) {
    throw new BoosterError("UNKNOWN_ARCHITECTURE", "this kind of model cannot be computed", {
      expected: ARCHITECTURES.map(({ name }) => name).join(", "),
      found: String(type),
      where: "model_type in config.json",
    });
  }
  if (isClassifier(config)) {
    throw new BoosterError("MODEL_CONFIG_INVALID", "this model sorts texts into classes, and writes none", {
      expected: "a causal language model",
      where: "architectures in config.json",
      hint: "It can be a judge: --moderator beaver-dam or sequence-classifier.",
    });
  }
  return found.create(config);
}
