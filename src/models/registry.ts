import { BoosterError } from "../errors.ts";
import type { Architecture, Model } from "./architecture.ts";
import { llama, qwen2 } from "./llama.ts";

/** Every architecture that can be computed. A new one is one file and one row. */
export const ARCHITECTURES: readonly Architecture[] = [llama, qwen2];

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
  return found.create(config);
}
